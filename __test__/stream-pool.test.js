'use strict'

// createStream() against a fake native side.

const test = require('node:test')
const assert = require('node:assert/strict')
const { AsyncLocalStorage } = require('node:async_hooks')
const { ADDRESSES, Engine, connected } = require('./support/fake-engine.js')
const { kind, op } = require('../lib/boundary.js')
const engine = require('../lib/engine.js')
const { MuxClient } = require('../lib/client.js')
const { MuxStream } = require('../lib/stream.js')
const { turn } = require('./support/events.js')

const { OPENED, CLOSED, CONN_CLOSE } = kind

test.beforeEach(async () => {
  for (let count = 0; count < 3; count++) await turn()
})

function pool () {
  const side = connected()
  const record = (kind, ...args) => {
    side.fake.push(kind, side.number, ...args)
    side.fake.wake()
  }
  return {
    ...side,
    StreamPool: side.con.StreamPool,
    sent: (code) => { engine.flush(); return side.fake.take(code) },
    opened: (handle, id) => record(OPENED, handle, '', id),
    closed: (handle) => record(CLOSED, handle),
    lost: () => record(CONN_CLOSE, 0, '{}')
  }
}

test('a callback gets the stream as argument and as this, once it is acknowledged', () => {
  const { StreamPool, sent, opened } = pool()
  const calls = []
  assert.equal(StreamPool.createStream({ a: 1 }, function (stream) { calls.push([this, stream]) }), undefined)
  const [open] = sent()
  assert.deepEqual([open.op, open.stream, String(open.payload)], [op.OPEN, 0, '{"a":1}'])
  assert.equal(calls.length, 0)
  opened(0, 200)
  assert.equal(calls.length, 1)
  assert.equal(calls[0][0], calls[0][1])
  assert.ok(calls[0][0] instanceof MuxStream)
  assert.equal(calls[0][0].id, 200)
})

test('without a callback there is a Promise, with options or without', async () => {
  const { StreamPool, sent, opened } = pool()
  const promises = [StreamPool.createStream(1), StreamPool.createStream(2, {}), StreamPool.createStream(3, undefined)]
  assert.equal(sent(op.OPEN).length, 3)
  for (const handle of [0, 2, 4]) opened(handle, 255 - handle)
  assert.deepEqual((await Promise.all(promises)).map(({ meta }) => meta), [1, 2, 3])
})

test('the options may stand between, and are checked', () => {
  const { StreamPool, sent, opened } = pool()
  let stream
  StreamPool.createStream(1, { messages: false }, (made) => { stream = made })
  sent()
  opened(0, 1)
  assert.equal(stream.readableObjectMode, false)
  for (const args of [[1, 5], [1, { messages: 1 }], [1, {}, 5], [1, null, 'x'], [1, { signal: 1 }]]) {
    assert.throws(() => StreamPool.createStream(...args), { code: 'ERR_MUX_INVALID_ARG' })
  }
})

test('a meta without a JSON form throws at once and takes no place', () => {
  const { StreamPool, con, sent } = pool()
  for (const meta of [undefined, () => {}, Symbol('s')]) {
    assert.throws(() => StreamPool.createStream(meta, () => {}), { code: 'ERR_MUX_INVALID_VALUE', name: 'TypeError' })
  }
  assert.throws(() => StreamPool.createStream('x'.repeat(2 ** 22)), { code: 'ERR_MUX_VALUE_TOO_LARGE' })
  assert.equal(con.stats().streamsLive, 0)
  assert.deepEqual(sent(), [])
})

test('the 257th live stream throws, in either form, and an ended one frees its place', () => {
  const { StreamPool, sent, opened } = pool()
  const streams = []
  for (let count = 0; count < 256; count++) StreamPool.createStream(count, (stream) => streams.push(stream))
  const limit = { message: 'Maximum of Streams per Connection is reached (255)', code: 'ERR_MUX_STREAM_LIMIT' }
  assert.throws(() => StreamPool.createStream(256), limit)
  assert.throws(() => StreamPool.createStream(256, () => {}), limit)
  assert.equal(sent(op.OPEN).length, 256)
  opened(0, 1)
  streams[0].end()
  StreamPool.createStream(256)
  assert.throws(() => StreamPool.createStream(257), limit)
  // The handle is another one: the first is free only when native code says so.
  assert.equal(sent(op.OPEN)[0].stream, 512)
})

test('a handle is used again after CLOSED', () => {
  const { StreamPool, sent, opened, closed } = pool()
  StreamPool.createStream(1, (stream) => stream.end())
  sent()
  opened(0, 1)
  sent()
  closed(0)
  StreamPool.createStream(2)
  assert.equal(sent(op.OPEN)[0].stream, 0)
})

test('opens made before the connect keep their text and go before what its listener opens', async () => {
  const client = new MuxClient({ port: 1, host: '127.0.0.1' })
  const fake = Engine.last
  const number = fake.next++
  const meta = { state: 'before' }
  client.StreamPool.createStream(meta)
  meta.state = 'changed'
  client.on('connect', () => client.StreamPool.createStream('from the listener'))
  engine.flush()
  assert.deepEqual(fake.take(op.OPEN), [])
  fake.push(kind.CONNECTED, number, 0, ADDRESSES)
  fake.wake()
  const sent = fake.take(op.OPEN).map(({ payload }) => String(payload))
  assert.deepEqual(sent, ['{"state":"before"}', '"from the listener"'])
})

test('a lost connection rejects what waits; an ignored Promise and a callback stay quiet', async () => {
  const { client, StreamPool, lost } = pool()
  const waiting = StreamPool.createStream(1)
  StreamPool.createStream(2)
  StreamPool.createStream(3, assert.fail)
  lost()
  await assert.rejects(waiting, { code: 'ERR_MUX_CONNECTION_CLOSED' })
  await assert.rejects(StreamPool.createStream(4), { code: 'ERR_MUX_CONNECTION_CLOSED' })
  assert.equal(StreamPool.createStream(5, assert.fail), undefined)
  assert.equal(client.destroyed, true)
  await turn()
})

test('what was opened before end() and is acknowledged after it fails: nobody could write to it', async () => {
  const { con, StreamPool, sent, opened } = pool()
  const waiting = StreamPool.createStream(1)
  con.end()
  sent()
  opened(0, 1)
  await assert.rejects(waiting, { code: 'ERR_MUX_CONNECTION_CLOSED' })
  assert.deepEqual(sent(op.END), [])
})

test('a signal cancels the wait; what was sent is ended when it is acknowledged', async () => {
  const { con, StreamPool, sent, opened } = pool()
  const controller = new AbortController()
  const waiting = StreamPool.createStream(1, { signal: controller.signal })
  StreamPool.createStream(2, { signal: controller.signal }, assert.fail)
  sent()
  controller.abort(new Error('why'))
  await assert.rejects(waiting, (error) => error.name === 'AbortError' && error.code === 'ABORT_ERR' &&
    error.cause.message === 'why')
  assert.equal(con.stats().streamsLive, 2)
  opened(0, 1)
  opened(2, 2)
  assert.deepEqual(sent(op.END).map(({ stream }) => stream), [0, 2])
  assert.equal(con.stats().streamsLive, 0)
  await assert.rejects(StreamPool.createStream(3, { signal: controller.signal }), { name: 'AbortError' })
})

test('a signal that comes before the connect leaves nothing to send', async () => {
  const client = new MuxClient({ port: 1, host: '127.0.0.1' })
  const fake = Engine.last
  const number = fake.next++
  const controller = new AbortController()
  const waiting = client.StreamPool.createStream(1, { signal: controller.signal })
  controller.abort()
  await assert.rejects(waiting, { name: 'AbortError' })
  fake.push(kind.CONNECTED, number, 0, ADDRESSES)
  fake.wake()
  assert.deepEqual(fake.take(op.OPEN), [])
})

test('a signal governs the stream from its callback on, and needs no error listener', async () => {
  const { StreamPool, sent, opened } = pool()
  const controller = new AbortController()
  let stream
  StreamPool.createStream(1, { signal: controller.signal }, (made) => {
    stream = made
    controller.abort(new Error('why'))
  })
  sent()
  opened(0, 1)
  assert.equal(stream.destroyed, true)
  const { name, code, cause } = stream.errored
  assert.deepEqual([name, code, cause.message], ['AbortError', 'ABORT_ERR', 'why'])
  await turn()
})

test('callback and events run in the caller\'s async context', async () => {
  const { StreamPool, fake, number, sent, opened } = pool()
  const storage = new AsyncLocalStorage()
  const seen = []
  const note = (what) => () => seen.push([what, storage.getStore()])
  storage.run('caller', () => StreamPool.createStream(1, (stream) => {
    note('callback')()
    stream.on('finish', note('finish')).on('close', note('close'))
    storage.run('writer', () => stream.write('x', note('written')))
    stream.end()
  }))
  sent()
  opened(0, 1)
  for (const { argument } of sent(op.MARK)) fake.push(kind.MARK, number, 0, '', argument)
  fake.wake()
  await turn()
  assert.deepEqual(seen, [['callback', 'caller'], ['written', 'writer'], ['finish', 'caller'], ['close', 'caller']])
})
