'use strict'

// A connection on QMux against a fake native side: opens that are refused, goodbyes, pings, closing with a code.

const test = require('node:test')
const assert = require('node:assert/strict')
const { AsyncLocalStorage } = require('node:async_hooks')
const { ADDRESSES, Engine, connected } = require('./support/fake-engine.js')
const { acceptor, connection, creator, kind, log } = require('./support/qmux.js')
const { op, WHOLE, wires } = require('../lib/boundary.js')
const engine = require('../lib/engine.js')
const { MuxClient } = require('../lib/client.js')
const { nextEvent, turn } = require('./support/events.js')

const { SENDS, RECEIVES, FOREIGN } = wires

async function turns (count = 4) {
  for (let index = 0; index < count; index++) await turn()
}

test.beforeEach(() => turns())

// ---- which wire ----

test('protocol is qmux once both directions have switched, and stays so', () => {
  const { con, fake, number } = connected()
  const speaking = (bits) => {
    fake.push(kind.WIRES, number, 0, '', bits)
    fake.wake()
    return [con.protocol, con.stats().protocol, con.stats().peer]
  }
  assert.equal(con.protocol, 'legacy')
  assert.deepEqual(speaking(SENDS), ['legacy', 'legacy', 'undecided'])
  assert.deepEqual(speaking(RECEIVES), ['legacy', 'legacy', 'undecided'])
  assert.deepEqual(speaking(SENDS | RECEIVES), ['qmux', 'qmux', 'undecided'])
  assert.deepEqual(speaking(SENDS | RECEIVES | FOREIGN), ['qmux', 'qmux', 'foreign'])
  con.destroy()
  assert.equal(con.protocol, 'qmux')
})

test('protocol: qmux is that from the start', () => {
  const client = new MuxClient({ port: 1, host: '127.0.0.1', protocol: 'qmux' })
  assert.equal(client._connection.protocol, 'qmux')
  assert.equal(Engine.last.calls.at(-1)[1].connection.protocol.protocol, 'qmux')
  Engine.last.next++
})

test('a stream has both halves as soon as this end sends QMux', () => {
  for (const [bits, halves] of [[0, 1], [RECEIVES, 1], [SENDS, 3], [SENDS | RECEIVES, 3]]) {
    const { client, fake, number } = connected()
    let stream
    client.on('stream', (announced) => { stream = announced })
    fake.push(kind.WIRES, number, 0, '', bits)
    fake.push(kind.STREAM, number, 1, '1', 1)
    fake.wake()
    assert.equal(stream._halves, halves)
    if (halves === 1) assert.throws(() => stream.write('x'), { code: 'ERR_MUX_NOT_WRITABLE' })
    else assert.equal(stream.write('x'), true)
  }
})

test('a foreign peer\'s stream has no meta', () => {
  const { client, tell } = connection()
  const metas = []
  client.on('stream', (stream) => metas.push(stream.meta))
  tell(kind.STREAM, 1, '', 1)
  tell(kind.STREAM, 3, 'null', 5)
  assert.deepEqual(metas, [undefined, null])
})

// ---- how many streams ----

function limit (most) {
  const reached = 'Maximum of Streams per Connection is reached'
  const advice = 'End or destroy streams that are done, or raise it'
  return {
    code: 'ERR_MUX_STREAM_LIMIT',
    message: most === 256 ? `${reached} (255)` : `${reached}: maxStreams is ${most}. ${advice}`
  }
}

test('on QMux each direction counts for itself, up to maxStreams', async () => {
  const { client, con, tell } = connection({ maxStreams: 300 })
  client.on('stream', () => {})
  for (let index = 0; index < 300; index++) tell(kind.STREAM, 2 * index + 1, '1', 4 * index + 1)
  await turns()
  for (let index = 0; index < 300; index++) con.StreamPool.createStream(index)
  assert.throws(() => con.StreamPool.createStream(300), limit(300))
  assert.equal(con.stats().streamsLive, 600)
})

test('on the legacy wire both count, up to 256 or a lower maxStreams', () => {
  for (const [maxStreams, most] of [[300, 256], [10, 10]]) {
    const { client, con, fake, number } = connected({ maxStreams })
    client.on('stream', () => {})
    fake.push(kind.PEER, number, 0, '', 0)
    fake.push(kind.STREAM, number, 1, '1', 1)
    fake.wake()
    for (let index = 1; index < most; index++) con.StreamPool.createStream(index)
    assert.throws(() => con.StreamPool.createStream('more'), limit(most))
  }
})

test('end, reset and destroy free a place at once; the peer\'s end does not', async () => {
  const { con, stream, sent, tell, end, record } = creator({ maxStreams: 2 })
  const more = () => {
    let opened
    con.StreamPool.createStream('more', (made) => { opened = made })
    const [{ stream: handle }] = sent(op.OPEN)
    tell(kind.OPENED, handle, '', 8)
    return opened
  }
  end()
  record(kind.STOPPED, '0')
  const uses = [(each) => each.end(), (each) => each.reset(), (each) => each.destroy(), () => {}]
  for (const use of uses) use(more())
  assert.throws(() => con.StreamPool.createStream('more'), limit(2))
  stream.end()
  con.StreamPool.createStream('more')
})

// ---- opens that fail ----

test('a refused open rejects with its code, and the connection tells of it', async () => {
  const { con, tell, sent } = connection()
  const seen = []
  con.on('streamRefused', (...args) => seen.push(args))
  const refused = con.StreamPool.createStream({ a: 1 })
  con.StreamPool.createStream('with a callback', assert.fail)
  sent()
  tell(kind.REFUSED, 0, '404')
  tell(kind.CLOSED, 0)
  tell(kind.REFUSED, 2, '0')
  tell(kind.CLOSED, 2)
  await assert.rejects(refused, { code: 'ERR_MUX_STREAM_REFUSED', refuseCode: 404 })
  assert.deepEqual(seen, [[{ a: 1 }, 404], ['with a callback', 0]])
  assert.equal(con.stats().streamsLive, 0)
  con.StreamPool.createStream('again')
  assert.ok([0, 2].includes(sent(op.OPEN)[0].stream))
})

test('an aborted open is not told of when it is refused, and ends both halves when it is accepted', async () => {
  const { con, tell, said } = connection()
  con.on('streamRefused', assert.fail)
  const controller = new AbortController()
  const opens = [1, 2].map((meta) => con.StreamPool.createStream(meta, { signal: controller.signal }))
  controller.abort()
  for (const open of opens) await assert.rejects(open, { name: 'AbortError' })
  said()
  tell(kind.REFUSED, 0, '1')
  tell(kind.CLOSED, 0)
  tell(kind.OPENED, 2, '', 4)
  tell(kind.DATA, 2, 'ignored')
  tell(kind.END, 2)
  tell(kind.CLOSED, 2)
  assert.deepEqual(said(), ['END', 'DISCARD'])
})

test('a peer that goes away is told of once; what it never saw fails, and so does what would follow', async () => {
  const { con, tell } = connection()
  let goodbyes = 0
  con.on('goaway', () => goodbyes++)
  const never = con.StreamPool.createStream(1)
  con.StreamPool.createStream(2, assert.fail)
  const served = con.StreamPool.createStream(3)
  tell(kind.GOAWAY, WHOLE)
  for (const handle of [0, 2]) {
    tell(kind.GOAWAY, handle)
    tell(kind.CLOSED, handle)
  }
  tell(kind.GOAWAY, WHOLE)
  tell(kind.OPENED, 4, '', 0)
  await assert.rejects(never, { code: 'ERR_MUX_GOAWAY' })
  assert.equal((await served).meta, 3)
  await assert.rejects(con.StreamPool.createStream(4), { code: 'ERR_MUX_GOAWAY' })
  assert.equal(con.StreamPool.createStream(5, assert.fail), undefined)
  assert.equal(goodbyes, 1)
})

test('goaway() is said once, also before the connect', () => {
  const { con, said } = connection()
  assert.equal(con.goaway().goaway(), con)
  assert.deepEqual(said(), ['GOAWAY'])
  const client = new MuxClient({ port: 1, host: '127.0.0.1' })
  client._connection.goaway()
  const fake = Engine.last
  fake.push(kind.CONNECTED, fake.next++, 0, ADDRESSES)
  fake.wake()
  assert.equal(fake.take(op.GOAWAY).length, 1)
})

test('setLocalWindowSize() is said with each call, and the last one also at the connect', () => {
  const { con, sent } = connection()
  assert.equal(con.setLocalWindowSize(5).setLocalWindowSize(2 ** 31 - 1), con)
  assert.deepEqual(sent(op.RESIZE_WINDOW).map(({ argument }) => argument), [5, 2 ** 31 - 1])
  for (const size of [undefined, 0, -1, 1.5, 2 ** 31, '5', null, NaN]) {
    assert.throws(() => con.setLocalWindowSize(size), { code: 'ERR_MUX_INVALID_ARG' })
  }
  const client = new MuxClient({ port: 1, host: '127.0.0.1' })
  assert.equal(client.setLocalWindowSize(7).setLocalWindowSize(8), client)
  const fake = Engine.last
  fake.push(kind.CONNECTED, fake.next++, 0, ADDRESSES)
  fake.wake()
  assert.deepEqual(fake.take(op.RESIZE_WINDOW).map(({ argument }) => argument), [8])
})

// ---- ping() ----

test('ping() gives the round trip in ms, in any order', async () => {
  const { con, sent, tell } = connection()
  const pings = [con.ping(), con.ping()]
  const ids = sent(op.PING).map(({ argument }) => argument)
  tell(kind.PONG, 2500, '', ids[1])
  tell(kind.PONG, 123, '', ids[0])
  tell(kind.PONG, 1, '', 77)
  assert.deepEqual(await Promise.all(pings), [0.123, 2.5])
})

test('ping() waits until the wire is known', async () => {
  const { con, fake, number } = connected()
  const waiting = con.ping()
  engine.flush()
  assert.deepEqual(fake.take(op.PING), [])
  fake.push(kind.PEER, number, 0, '', 1)
  fake.push(kind.WIRES, number, 0, '', SENDS)
  fake.push(kind.WIRES, number, 0, '', SENDS | RECEIVES)
  fake.wake()
  const [{ argument }] = fake.take(op.PING)
  fake.push(kind.PONG, number, 1000, '', argument)
  fake.wake()
  assert.equal(await waiting, 1)
})

test('ping() before the connect of protocol qmux goes with it', () => {
  const client = new MuxClient({ port: 1, host: '127.0.0.1', protocol: 'qmux' })
  const fake = Engine.last
  client._connection.ping().catch(() => {})
  fake.push(kind.CONNECTED, fake.next++, 0, ADDRESSES)
  fake.wake()
  assert.equal(fake.take(op.PING).length, 1)
})

test('ping() rejects on the legacy wire, on a closed connection, and when it closes', async () => {
  const unsupported = { code: 'ERR_MUX_NOT_SUPPORTED' }
  await assert.rejects(connected({ protocol: 'legacy' }).con.ping(), unsupported)
  const { con, fake, number } = connected()
  const waiting = con.ping()
  fake.push(kind.PEER, number, 0, '', 0)
  fake.wake()
  await assert.rejects(waiting, unsupported)
  await assert.rejects(con.ping(), unsupported)

  const over = connection()
  const pending = over.con.ping()
  over.tell(kind.CONN_CLOSE, 0, '{}')
  await assert.rejects(pending, { code: 'ERR_MUX_CONNECTION_CLOSED' })
  await assert.rejects(over.con.ping(), { code: 'ERR_MUX_CONNECTION_CLOSED' })
  const failed = connection()
  const unanswered = failed.con.ping()
  failed.client.on('error', () => {})
  failed.con.destroy(Object.assign(new Error(), { code: 'WHY' }))
  await assert.rejects(unanswered, { code: 'WHY' })
})

// ---- the end ----

test('close(code, reason) is the last thing sent, and takes the streams with it', async () => {
  const { con, stream, handle, said, tell, fake } = creator()
  const events = log(con, 'close', 'end', 'error')
  stream.write('dropped')
  fake.calls.length = 0
  assert.equal(con.close(2 ** 40 + 1, 'bye – bye'), con)
  assert.deepEqual(said().slice(-1), [`CLOSE ${2 ** 40 + 1} bye – bye`])
  assert.deepEqual([con.destroyed, stream.destroyed], [true, true])
  con.close()
  con.destroy()
  tell(kind.DATA, handle, 'late')
  tell(kind.CONN_CLOSE, 0, '{}')
  await turns()
  assert.deepEqual(events, ['close false'])
  assert.deepEqual(fake.calls.filter(([name]) => name === 'destroy'), [])
})

test('close() on the legacy wire ends and destroys, and before the connect gives it up', async () => {
  const { con, fake, number } = connected({ protocol: 'legacy' })
  fake.calls.length = 0
  con.close(5, 'cannot be told')
  assert.deepEqual(fake.take().map((command) => command.op), [op.CONN_END, op.MARK])
  assert.deepEqual(fake.calls.filter(([name]) => name === 'destroy'), [['destroy', number, false]])
  const client = new MuxClient({ port: 1, host: '127.0.0.1', protocol: 'qmux' })
  Engine.last.next++
  client._connection.close(1)
  assert.equal(client.destroyed, true)
})

test('close() checks what it is given before it does anything', () => {
  const { con } = connection()
  for (const args of [[-1], [0.5], ['1'], [2 ** 53], [0, 5], [0, 'x'.repeat(1025)], [0, 'é'.repeat(513)]]) {
    assert.throws(() => con.close(...args), { code: 'ERR_MUX_INVALID_ARG' })
  }
  assert.equal(con.destroyed, false)
})

test('a peer\'s close with a code is an error that has it', async () => {
  const { client, tell } = connection()
  const failed = nextEvent(client, 'error')
  tell(kind.CONN_ERROR, 0, JSON.stringify({
    origin: 'peer', code: 'ERR_MUX_CLOSED_BY_PEER', message: 'm', closeCode: 3, application: false
  }))
  const [error] = await failed
  assert.deepEqual([error.code, error.closeCode, error.application], ['ERR_MUX_CLOSED_BY_PEER', 3, false])
})

test('at the peer\'s end, streams it left open are cut off; those nobody waits on are not', async () => {
  const { client, con, tell, sent, said } = connection({ allowHalfOpen: true })
  const streams = {}
  client.on('stream', (stream) => { streams[stream.meta] = stream })
  const open = (meta) => {
    con.StreamPool.createStream(meta, (stream) => { streams[meta] = stream })
    const [{ stream: handle }] = sent(op.OPEN)
    tell(kind.OPENED, handle, '', handle * 2)
    return handle
  }
  open('unread')
  open('read')
  const partly = open('partly')
  const answered = open('answered')
  tell(kind.STREAM, 1, '"accepted"', 1)
  tell(kind.STREAM, 3, '"ended"', 5)
  tell(kind.DATA, partly, 'half an answer')
  streams.read.resume()
  streams.ended.pause()
  tell(kind.DATA, 3, 'kept')
  tell(kind.END, 3)
  tell(kind.END, answered)
  said()
  const waiting = con.StreamPool.createStream('waiting')
  tell(kind.CONN_END)
  await turns()
  await assert.rejects(waiting, { code: 'ERR_MUX_CONNECTION_CLOSED' })
  assert.deepEqual(Object.fromEntries(Object.entries(streams).map(([name, each]) => [name, each.destroyed])), {
    unread: false, read: true, partly: true, answered: false, accepted: true, ended: false
  })
  assert.equal(streams.read.errored.code, 'ERR_MUX_CONNECTION_CLOSED')
  const closed = nextEvent(streams.unread, 'close')
  streams.unread.end('still writes')
  said()
  await closed
  assert.equal(streams.unread.errored, null)
})

test('what is complete is left to its reader when the connection ends', async () => {
  const { client, stream, deliver, end, tell } = acceptor()
  client.on('error', () => {})
  stream.pause()
  deliver('kept')
  end()
  tell(kind.CONN_END)
  tell(kind.CONN_CLOSE, 0, '{}')
  await turns()
  const seen = log(stream, 'data', 'end', 'finish', 'close', 'error')
  stream.resume()
  await turns()
  assert.deepEqual(seen, ['data kept', 'end', 'finish', 'close'])
})

test('writing to what the connection left behind is an error of the callback, and reaches nobody', async () => {
  const { stream, end, tell, sent } = acceptor()
  end()
  const closed = nextEvent(stream, 'close')
  tell(kind.CONN_CLOSE, 0, '{}')
  sent()
  await closed
  assert.equal(stream.errored, null)
  const failed = new Promise((resolve) => stream.write(Buffer.from('x'), resolve))
  assert.equal((await failed).code, 'ERR_STREAM_DESTROYED')
  assert.deepEqual(sent(), [])
})

test('a creator that is done, and that nobody reads, closes without an error when its connection goes', async () => {
  const { client, stream, said, tell } = creator()
  client.on('error', () => {})
  const seen = log(stream, 'finish', 'close', 'error')
  stream.end()
  said()
  await turns()
  tell(kind.CONN_ERROR, 0, '{"origin":"system","errno":-104,"syscall":"read"}')
  await turns()
  assert.deepEqual(seen, ['finish', 'close'])
})

test('a creator that waits for an answer gets the connection\'s error', async () => {
  const { client, stream, said, tell } = creator()
  client.on('error', () => {})
  const seen = log(stream, 'data', 'error', 'close')
  stream.end()
  said()
  tell(kind.CONN_ERROR, 0, '{"origin":"system","errno":-104,"syscall":"read"}')
  await turns()
  assert.deepEqual(seen, ['error ECONNRESET', 'close'])
})

test('behind our own end streams still come, unacknowledged, and are read', async () => {
  const { client, con, tell, said } = connection()
  const seen = []
  client.on('stream', (stream) => seen.push(log(stream, 'data', 'end', 'finish', 'close', 'error')))
  con.end()
  said()
  tell(kind.STREAM, 1, '1', 1)
  tell(kind.DATA, 1, 'late')
  tell(kind.END, 1)
  await turns()
  assert.deepEqual(said(), [])
  assert.deepEqual(seen, [['data late', 'end', 'finish', 'close']])
})

test('events of a stream run in its context, those of the connection in the connection\'s', async () => {
  const storage = new AsyncLocalStorage()
  const { con, tell, sent } = storage.run('connection', () => connection())
  const seen = []
  const note = (emitter, ...names) => {
    for (const name of names) emitter.on(name, () => seen.push(`${name} in ${storage.getStore()}`))
  }
  storage.run('elsewhere', () => note(con, 'goaway', 'streamRefused'))
  storage.run('caller', () => {
    con.StreamPool.createStream(1)
    con.StreamPool.createStream(2, (stream) => storage.run('inner', () => {
      note(stream, 'drain', 'stopSending', 'end', 'data')
      stream.write('x')
    }))
  })
  sent()
  tell(kind.REFUSED, 0, '1')
  tell(kind.OPENED, 2, '', 4)
  const [stream] = con._streams.table.entries().slice(-1)
  await turns() // Node begins to flow in the context of who attached the listener
  tell(kind.BLOCKED, 2)
  stream.write('y')
  tell(kind.UNBLOCKED, 2)
  tell(kind.STOPPED, 2, '3')
  tell(kind.DATA, 2, 'z')
  tell(kind.END, 2)
  tell(kind.GOAWAY, WHOLE)
  await turns()
  assert.deepEqual(seen, ['streamRefused in connection', 'drain in caller', 'stopSending in caller', 'data in caller',
    'goaway in connection', 'end in caller'])
})
