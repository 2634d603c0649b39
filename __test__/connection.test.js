'use strict'

// The face of a connection against a fake native side.

const test = require('node:test')
const assert = require('node:assert/strict')
const { ADDRESSES, Engine, connected } = require('./support/fake-engine.js')
const { kind, op, peers } = require('../lib/boundary.js')
const engine = require('../lib/engine.js')
const { MuxClient } = require('../lib/client.js')
const { turn } = require('./support/events.js')

test.beforeEach(async () => {
  for (let count = 0; count < 3; count++) await turn()
})

const sent = (fake, code) => { engine.flush(); return fake.take(code) }

test('addresses are there from the connect on, and stay after the close', () => {
  const { con, fake, number } = connected()
  const addresses = () => [con.localAddress, con.localPort, con.remoteAddress, con.remotePort, con.remoteFamily]
  assert.deepEqual(addresses(), ['127.0.0.1', 1, '127.0.0.2', 2, 'IPv4'])
  assert.deepEqual(con.address(), { address: '127.0.0.1', family: 'IPv4', port: 1 })
  fake.push(kind.CONN_CLOSE, number, 0, '{}')
  fake.wake()
  assert.deepEqual(addresses(), ['127.0.0.1', 1, '127.0.0.2', 2, 'IPv4'])
})

test('readyState follows the connection\'s life', () => {
  const client = new MuxClient({ port: 1, host: '127.0.0.1' })
  const con = client._connection
  const fake = Engine.last
  const number = fake.next++
  assert.deepEqual([con.readyState, con.connecting, con.pending], ['opening', true, true])
  assert.deepEqual(con.address(), {})
  fake.push(kind.CONNECTED, number, 0, ADDRESSES)
  fake.wake()
  assert.deepEqual([con.readyState, con.connecting], ['open', false])
  con.end()
  assert.equal(con.readyState, 'readOnly')
  con.destroy()
  assert.equal(con.readyState, 'closed')
})

test('bytes are counted after what is encoded was flushed, and stats tell the same', () => {
  const { con, fake } = connected()
  fake.counts = { read: 100, written: 250, queued: 50, peer: peers.NEW }
  con.StreamPool.createStream(1)
  assert.equal(con.bytesWritten, 250)
  assert.equal(fake.take(op.OPEN).length, 1)
  assert.deepEqual(con.stats(), {
    bytesRead: 100,
    bytesWritten: 250,
    queuedBytes: 50,
    streamsOpened: 1,
    streamsAccepted: 0,
    streamsLive: 1,
    discardedStreams: 0,
    discardedBytes: 0,
    peer: 'new',
    protocol: 'legacy'
  })
})

test('raw writes are refused, end(data) too', () => {
  const { con } = connected()
  for (const call of [() => con.write('x'), () => con.write(), () => con.end('x'), () => con.end(Buffer.alloc(1))]) {
    assert.throws(call, { code: 'ERR_MUX_RAW_WRITE' })
  }
  assert.equal(con.readyState, 'open')
})

test('end() half-closes once, behind what was written, and calls back at finish', () => {
  const { con, fake, number } = connected()
  let calls = 0
  con.StreamPool.createStream(1)
  con.end(() => calls++)
  con.end()
  const commands = sent(fake)
  assert.deepEqual(commands.map((command) => command.op), [op.OPEN, op.CONN_END, op.MARK])
  assert.equal(calls, 0)
  fake.push(kind.MARK, number, 0, '', commands[2].argument)
  fake.wake()
  assert.equal(calls, 1)
})

test('end() before the connect waits for it, behind what was opened', () => {
  const client = new MuxClient({ port: 1, host: '127.0.0.1' })
  const fake = Engine.last
  const number = fake.next++
  client.StreamPool.createStream(1)
  client.end()
  fake.push(kind.CONNECTED, number, 0, ADDRESSES)
  fake.wake()
  assert.deepEqual(fake.take().map((command) => command.op), [op.OPEN, op.CONN_END, op.MARK])
})

test('pause takes effect at once, resume with the next flush, and neither twice', () => {
  const { con, fake } = connected()
  assert.equal(con.pause().pause(), con)
  assert.deepEqual(fake.take().map((command) => command.op), [op.CONN_PAUSE])
  assert.equal(con.isPaused(), true)
  con.resume().resume()
  assert.deepEqual(sent(fake).map((command) => command.op), [op.CONN_RESUME])
  assert.equal(con.isPaused(), false)
})

test('socket options set before the connect go with it, later ones at once', () => {
  let answer
  const client = new MuxClient({ port: 1, host: 'name.invalid', lookup (host, options, done) { answer = done } })
  const fake = Engine.last
  client._connection.setNoDelay(false).setKeepAlive(true, 1500.7)
  fake.calls.length = 0
  answer(null, [{ address: '127.0.0.9', family: 4 }])
  const number = fake.next++
  const [[name, options]] = fake.calls
  assert.equal(name, 'connect')
  assert.deepEqual(options.addresses, [{ address: '127.0.0.9', port: 1 }])
  const { noDelay, keepAlive, keepAliveDelay } = options.connection
  assert.deepEqual([noDelay, keepAlive, keepAliveDelay], [false, true, 1500])
  fake.push(kind.CONNECTED, number, 0, ADDRESSES)
  fake.wake()
  fake.calls.length = 0
  client.connection.setNoDelay().setKeepAlive()
  assert.deepEqual(fake.calls, [['setNoDelay', number, true], ['setKeepAlive', number, false, 0]])
  assert.throws(() => client.connection.setKeepAlive(true, -1), { code: 'ERR_MUX_INVALID_ARG' })
})

test('reset is passed on', () => {
  const { con, fake, number } = connected()
  fake.calls.length = 0
  con.resetAndDestroy()
  assert.deepEqual(fake.calls, [['destroy', number, true]])
})

test('what is known of the peer stays known', () => {
  for (const [aux, peer] of [[0, 'old'], [1, 'new']]) {
    const { con, fake, number } = connected()
    fake.counts = { read: 0, written: 0, queued: 0, peer: peers.UNDECIDED }
    assert.equal(con.stats().peer, 'undecided')
    fake.push(kind.PEER, number, 0, '', aux)
    fake.wake()
    assert.equal(con.stats().peer, peer)
    con.destroy()
    assert.equal(con.stats().peer, peer)
  }
  const { con, fake } = connected()
  fake.counts = { read: 0, written: 0, queued: 0, peer: peers.NEW }
  assert.equal(con.stats().peer, 'new')
  fake.counts = { read: 0, written: 0, queued: 0, peer: peers.UNDECIDED }
  assert.equal(con.stats().peer, 'new')
})
