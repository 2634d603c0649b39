'use strict'

// COMPAT.md, "Public surface": createStream, its meta, its two forms, and the limit of 256 live streams.

const test = require('node:test')
const assert = require('node:assert/strict')
const { MuxClient, watchClient, connectPair, openPair, startServer } = require('../support/mux.js')
const { nextEvent, within, turn, eventually } = require('../support/events.js')
const { connectWire, listenWire, frame } = require('../support/wire.js')

const LIMIT_MESSAGE = 'Maximum of Streams per Connection is reached (255)'

// Opens streams until the limit throws, and gives their number.
function openUntilRefused (pool) {
  for (let count = 0; count < 1000; count++) {
    try {
      pool.createStream(count, () => {})
    } catch (error) {
      assert.ok(error instanceof Error)
      assert.equal(error.message, LIMIT_MESSAGE)
      assert.equal(error.code, 'ERR_MUX_STREAM_LIMIT')
      return count
    }
  }
  throw new Error('a thousand streams and no limit')
}

test('with a callback createStream returns undefined and calls it with the stream, as this too', async (t) => {
  const { con, client } = await connectPair(t)
  con.on('stream', () => {})
  let returned = 'nothing yet'
  const [self, args] = await within(new Promise((resolve) => {
    returned = client.StreamPool.createStream({ a: 1 }, function (...args) { resolve([this, args]) })
  }), 'the callback')
  assert.equal(returned, undefined)
  assert.equal(args.length, 1)
  assert.equal(args[0], self)
  assert.deepEqual(self.meta, { a: 1 })
})

test('the callback runs after the other side has acknowledged, not before', async (t) => {
  const wire = await listenWire(t)
  const client = await watchClient(t, new MuxClient(wire.port, '127.0.0.1'))
  const peer = await wire.next()
  let called = false
  const opened = new Promise((resolve) => client.StreamPool.createStream('s', () => {
    called = true
    resolve()
  }))
  const { id, type } = await peer.frameAfterOffer()
  assert.deepEqual({ id, type }, { id: 255, type: 2 })
  await turn()
  assert.equal(called, false)
  peer.send('0000000a ff 04 6e756c6c') // ack of stream 255
  await within(opened, 'the callback')
})

test('without a callback createStream gives a Promise of the stream', async (t) => {
  const { con, client } = await connectPair(t)
  con.on('stream', () => {})
  const promise = client.StreamPool.createStream({ a: 2 })
  assert.ok(promise instanceof Promise)
  const stream = await within(promise, 'the stream')
  assert.deepEqual(stream.meta, { a: 2 })
})

test('the pools of server and client offer the same two forms', async (t) => {
  const { con, client } = await connectPair(t)
  client.on('stream', () => {})
  const stream = await within(new Promise((resolve) => {
    assert.equal(con.StreamPool.createStream(7, resolve), undefined)
  }), 'the callback')
  assert.equal(stream.meta, 7)
  assert.equal((await con.StreamPool.createStream(8)).meta, 8)
})

const METAS = {
  'an object': { type: 'update', file: 'xy.js', deep: { list: [1, [2, [3]]], none: null } },
  'an array': [1, 'two', { three: 3 }, [], null],
  'a string': 'just text',
  'an empty string': '',
  'a number': -12.5e-3,
  zero: 0,
  true: true,
  false: false,
  null: null,
  'an empty object': {},
  'an object with odd keys': { '': 1, 'with "quotes"': 2, '\u0000': 3, constructor: 4 },
  'control characters and separators': '\u0000\u001f\u007f\u2028\u2029\\"/',
  'astral Unicode': '😀𝒳 and 中文',
  'a lone surrogate': '\ud800 alone',
  '300,000 characters': 'x'.repeat(300_000),
  '300,000 astral characters': '😀'.repeat(150_000)
}

for (const [name, meta] of Object.entries(METAS)) {
  test(`meta may be ${name}`, async (t) => {
    const { con, client } = await connectPair(t)
    const { creator, acceptor } = await openPair(client, con, meta)
    assert.deepEqual(acceptor.meta, meta)
    assert.deepEqual(creator.meta, meta)
  })
}

test('meta travels as JSON: toJSON is honoured and undefined members vanish', async (t) => {
  const { con, client } = await connectPair(t)
  const { acceptor } = await openPair(client, con, { at: new Date(0), gone: undefined, list: [undefined], not: NaN })
  assert.deepEqual(acceptor.meta, { at: '1970-01-01T00:00:00.000Z', list: [null], not: null })
})

test('a member named __proto__ in a peer\'s meta is a member and nothing more', async (t) => {
  const server = await startServer(t)
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port)
  const [con] = await accepted
  const announced = nextEvent(con, 'stream')
  peer.send(frame(0, 2, '{"__proto__":{"polluted":true}}'))
  const [{ meta }] = await announced
  assert.deepEqual(Object.keys(meta), ['__proto__'])
  assert.equal({}.polluted, undefined)
})

test('meta that is not JSON is the caller\'s error, thrown at once in both forms', async (t) => {
  const { con, client } = await connectPair(t)
  con.on('stream', () => assert.fail('it was opened all the same'))
  for (const meta of [undefined, () => {}, Symbol('s')]) {
    assert.throws(() => client.StreamPool.createStream(meta, () => {}), { code: 'ERR_MUX_INVALID_VALUE' })
  }
  assert.throws(() => client.StreamPool.createStream(undefined), { code: 'ERR_MUX_INVALID_VALUE' })
  assert.throws(() => client.StreamPool.createStream(1n, () => {}), Error)
  const loop = {}
  loop.loop = loop
  assert.throws(() => client.StreamPool.createStream(loop, () => {}), Error)
  con.removeAllListeners('stream')
  await openPair(client, con) // nothing of it took a place or a byte
  assert.equal(client.connection.stats().streamsLive, 1)
})

test('256 streams live on a connection and the 257th throws at once', async (t) => {
  const { con, client } = await connectPair(t)
  con.on('stream', () => {})
  assert.equal(openUntilRefused(client.StreamPool), 256)
  assert.throws(() => client.StreamPool.createStream('promise form'), { message: LIMIT_MESSAGE })
  // All 256 work.
  await eventually(() => con.stats().streamsAccepted === 256, '256 streams have come')
})

test('the limit counts streams opened before the connect', async (t) => {
  const server = await startServer(t)
  server.on('connection', (con) => con.on('stream', () => {}))
  const client = new MuxClient(server.address().port, '127.0.0.1')
  assert.equal(openUntilRefused(client.StreamPool), 256)
  await nextEvent(client, 'connect')
  await watchClient(t, client)
})

test('towards an old peer the two directions count together: two accepted leave 254', async (t) => {
  const server = await startServer(t)
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port)
  const [con] = await accepted
  con.on('stream', () => {})
  peer.send('0000000a 00 02 6e756c6c  0000000a 01 02 6e756c6c')
  await peer.expects('0000000a 00 04 6e756c6c  0000000a 01 04 6e756c6c')
  assert.equal(con.stats().peer, 'old')
  assert.equal(openUntilRefused(con.StreamPool), 254)
  const ids = []
  for (let count = 0; count < 254; count++) ids.push((await peer.frame()).id)
  assert.deepEqual(ids, Array.from({ length: 254 }, (_, index) => 255 - index))
})

test('an ended stream frees its place', async (t) => {
  const { con, client } = await connectPair(t)
  con.on('stream', (stream) => stream.resume())
  const streams = await Promise.all(Array.from({ length: 256 }, (_, index) => client.StreamPool.createStream(index)))
  assert.equal(openUntilRefused(client.StreamPool), 0)
  for (const stream of streams.slice(0, 3)) {
    const closed = nextEvent(stream, 'close')
    stream.end()
    await closed
  }
  assert.equal(openUntilRefused(client.StreamPool), 3)
})

test('thousands of streams one after the other never reach the limit', async (t) => {
  const { con, client } = await connectPair(t)
  let ends = 0
  con.on('stream', (stream) => stream.on('end', () => ends++))
  for (let index = 0; index < 3000; index++) {
    const stream = await client.StreamPool.createStream(index)
    stream.end()
  }
  await eventually(() => ends === 3000, 'all streams have ended')
  await eventually(() => con.stats().streamsLive === 0, 'none lives')
})

test('the Promise rejects when the connection ends before the acknowledgement', async (t) => {
  const wire = await listenWire(t)
  const client = await watchClient(t, new MuxClient(wire.port, '127.0.0.1'))
  const peer = await wire.next()
  const opening = client.StreamPool.createStream('never acknowledged')
  await peer.frameAfterOffer()
  const closed = nextEvent(client, 'close')
  peer.finish()
  await assert.rejects(within(opening, 'the Promise to reject'), { code: 'ERR_MUX_CONNECTION_CLOSED' })
  await closed
})

test('a Promise of createStream that nobody looks at causes no unhandled rejection', async (t) => {
  const seen = []
  const listener = (reason) => seen.push(reason)
  process.on('unhandledRejection', listener)
  t.after(() => process.removeListener('unhandledRejection', listener))
  const wire = await listenWire(t)
  const client = await watchClient(t, new MuxClient(wire.port, '127.0.0.1'))
  const peer = await wire.next()
  client.StreamPool.createStream('ignored')
  await peer.frameAfterOffer()
  const closed = nextEvent(client, 'close')
  peer.finish()
  await closed
  await turn()
  await turn()
  assert.deepEqual(seen, [])
})

test('the callback is not called when no acknowledgement comes', async (t) => {
  const wire = await listenWire(t)
  const client = await watchClient(t, new MuxClient(wire.port, '127.0.0.1'))
  const peer = await wire.next()
  client.StreamPool.createStream('never', () => assert.fail('it was called'))
  await peer.frameAfterOffer()
  const closed = nextEvent(client, 'close')
  peer.finish()
  await closed
  await turn()
})

test('createStream on a connection that is over fails with a code', async (t) => {
  const { con, client } = await connectPair(t)
  const closed = Promise.all([nextEvent(client, 'close'), nextEvent(con, 'close')])
  client.end()
  await closed
  await assert.rejects(async () => client.StreamPool.createStream('late'), { code: 'ERR_MUX_CONNECTION_CLOSED' })
})

test('an AbortSignal gives up an opening', async (t) => {
  const wire = await listenWire(t)
  const client = await watchClient(t, new MuxClient(wire.port, '127.0.0.1'))
  const peer = await wire.next()
  const controller = new AbortController()
  const opening = client.StreamPool.createStream('abandoned', { signal: controller.signal })
  const first = await peer.frameAfterOffer()
  assert.equal(first.id, 255)
  controller.abort()
  await assert.rejects(within(opening, 'the Promise to reject'), { name: 'AbortError' })
  // Its id stays taken while the acknowledgement is outstanding: a late one must not hit the next stream.
  const next = client.StreamPool.createStream('next')
  let open
  do open = await peer.frame(); while (open.type !== 2)
  assert.equal(open.text, '"next"')
  assert.notEqual(open.id, 255)
  peer.send('0000000a ff 04 6e756c6c')
  peer.send(frame(open.id, 4, 'null'))
  assert.equal((await within(next, 'the next stream')).meta, 'next')
})
