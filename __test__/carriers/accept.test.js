'use strict'

// The option `socket`, server.accept(), and servers that do not listen themselves.

const test = require('node:test')
const assert = require('node:assert/strict')
const http = require('node:http')
const net = require('node:net')
const { Duplex, PassThrough, Readable } = require('node:stream')
const { carry, duplexPair } = require('../support/carried.js')
const { cleanup } = require('../support/cleanup.js')
const { openPair, MuxServer, MuxClient } = require('../support/mux.js')
const { collectBytes, eventually, nextEvent, takeBytes, turn } = require('../support/events.js')

const INVALID = { name: 'TypeError', code: 'ERR_MUX_INVALID_ARG' }

test('streams work both ways, on either wire', async (t) => {
  for (const protocol of ['auto', 'qmux', 'legacy']) {
    const { client, con } = await carry(t, duplexPair(), { client: { protocol }, server: { protocol } })
    const { creator, acceptor } = await openPair(client, con)
    creator.end(Buffer.from('there'))
    assert.equal(`${await collectBytes(acceptor)}`, 'there')
    const back = await openPair(con, client)
    back.creator.end({ a: [1] })
    back.acceptor.resume()
    await nextEvent(back.acceptor, 'end')
  }
})

test('what is no Duplex of bytes is refused', () => {
  const server = new MuxServer({ noServer: true })
  const encoded = new PassThrough().setEncoding('utf8')
  const values = [null, 5, 'text', {}, new Readable({ read () {} }), new PassThrough({ objectMode: true }), encoded,
    new Duplex({ readableObjectMode: true }), new Duplex({ writableObjectMode: true })]
  for (const value of values) {
    assert.throws(() => server.accept(value), INVALID)
    assert.throws(() => new MuxClient({ socket: value }), INVALID)
  }
  assert.throws(() => server.accept(), INVALID)
  for (const options of [{ server: 5 }, { server: new net.Server(), noServer: true }, { server: new net.Server(), path: '/a' },
    { server: new http.Server(), path: 'a' }, { server: new http.Server(), path: '/a?b' }, { noServer: 1 }]) {
    assert.throws(() => new MuxServer(options), INVALID)
  }
  server.close()
})

test('accept() returns the connection, of which the server tells in a later turn', async (t) => {
  const server = new MuxServer({ noServer: true })
  assert.deepEqual([server.listening, server.address()], [false, null])
  const [near, far] = duplexPair()
  const con = server.accept(far)
  assert.deepEqual([con.connecting, con.remoteAddress, con.address()], [true, undefined, {}])
  assert.equal((await nextEvent(server, 'connection'))[0], con)
  assert.equal(con.connecting, false)
  near.destroy()
  con.on('error', () => {})
  await nextEvent(con, 'close')
  await new Promise((resolve) => server.close(resolve))
  const [error] = await new Promise((resolve) => server.close((...args) => resolve(args)))
  assert.equal(error.code, 'ERR_SERVER_NOT_RUNNING')
  assert.ok(server.accept(duplexPair()[0]).destroyed, 'a closed server accepts nothing')
})

test('maxConnections and blockList hold, and drop tells why', async (t) => {
  const server = new MuxServer({ noServer: true, maxConnections: 1 })
  const first = server.accept(duplexPair()[0])
  const [, far] = duplexPair()
  const drop = nextEvent(server, 'drop')
  const second = server.accept(far)
  assert.deepEqual([first.destroyed, second.destroyed], [false, true])
  assert.equal((await drop)[1].code, 'ERR_MUX_MAX_CONNECTIONS')
  await eventually(() => far.destroyed, 'the duplex is destroyed')
  server.blockList = new net.BlockList()
  server.blockList.addAddress('192.0.2.7')
  server.maxConnections = 9
  server.on('drop', () => assert.fail('no event'))
  const blocked = Object.assign(duplexPair()[0], { remoteAddress: '192.0.2.7', remotePort: 5, remoteFamily: 'IPv4' })
  const con = server.accept(blocked)
  assert.deepEqual([con.destroyed, con.remoteAddress, con.remotePort], [true, '192.0.2.7', 5])
  first.destroy()
  await new Promise((resolve) => server.close(resolve))
})

test('verifyConnection decides, and a peer that is refused is told why', async (t) => {
  const asked = []
  const server = new MuxServer({
    noServer: true,
    protocol: 'qmux',
    verifyConnection (info, answer) {
      asked.push(info)
      setImmediate(answer, asked.length === 1, 77, 'not you')
    }
  })
  server.on('connectionError', () => {})
  const pairs = [duplexPair(), duplexPair()]
  const [good, bad] = pairs.map(([near, far]) => {
    server.accept(far)
    return new MuxClient({ socket: near, protocol: 'qmux' })
  })
  const failed = nextEvent(bad, 'error')
  const drop = nextEvent(server, 'drop')
  await nextEvent(server, 'connection')
  assert.equal((await drop)[1].code, 'ERR_MUX_REFUSED')
  const [error] = await failed
  assert.deepEqual([error.closeCode, error.closeReason], [77, 'not you'])
  assert.equal(asked[0].encrypted, false)
  good.destroy()
  await new Promise((resolve) => server.close(resolve))
})

test('nothing is read of a connection that is not let in yet, and one that leaves is forgotten', async (t) => {
  const server = new MuxServer({ noServer: true, verifyConnection: () => new Promise(() => {}) })
  const [near, far] = duplexPair()
  server.accept(far)
  near.write(Buffer.from('x'))
  await turn()
  assert.equal(far.readableFlowing, null)
  near.destroy()
  await eventually(() => server._connections.size === 0, 'the connection is gone')
  server.accept(duplexPair()[0])
  await new Promise((resolve) => server.close(resolve))
})

test('a client waits for a socket that connects, and for its error', async (t) => {
  const listener = net.createServer().listen(0, '127.0.0.1')
  await nextEvent(listener, 'listening')
  const server = new MuxServer({ server: listener })
  const accepted = nextEvent(server, 'connection')
  const socket = net.connect(listener.address().port, '127.0.0.1')
  const client = new MuxClient({ socket })
  let isConnected = false
  socket.once('connect', () => { isConnected = true })
  await nextEvent(client, 'connect')
  assert.ok(isConnected)
  const [con] = await accepted
  assert.deepEqual([con.remotePort, client.connection.remotePort], [client.connection.localPort, listener.address().port])
  client.destroy()
  await new Promise((resolve) => server.close(resolve))
  assert.ok(listener.listening, 'it belongs to the program')
  assert.equal(listener.listenerCount('connection'), 0)
  const { port } = listener.address()
  await new Promise((resolve) => listener.close(resolve))
  const failed = new MuxClient({ socket: net.connect(port, '127.0.0.1') })
  assert.equal((await nextEvent(failed, 'error'))[0].code, 'ECONNREFUSED')
})

test('a server listens when the other one does, and reports its errors', async (t) => {
  const listener = net.createServer()
  const server = new MuxServer({ server: listener })
  cleanup(t, () => listener.close())
  assert.deepEqual([server.listening, server.address()], [false, null])
  listener.listen(0, '127.0.0.1')
  await nextEvent(server, 'listening')
  assert.deepEqual([server.listening, server.address()], [true, listener.address()])
  const other = net.createServer()
  const late = new MuxServer({ server: other })
  other.listen(listener.address().port, '127.0.0.1')
  assert.equal((await nextEvent(late, 'error'))[0].code, 'EADDRINUSE')
  late.close()
  server.close()
})

test('backpressure goes through to the writer, and drain comes back', async (t) => {
  const { client, con } = await carry(t, duplexPair(), { client: { protocol: 'qmux' }, server: { protocol: 'qmux' } })
  const { creator, acceptor } = await openPair(client, con)
  con.pause()
  let sum = 0
  while (creator.write(Buffer.alloc(65536))) sum += 65536
  sum += 65536
  assert.ok(creator.writableNeedDrain)
  assert.ok(client.connection.bytesWritten >= sum)
  con.resume()
  const [bytes] = await Promise.all([takeBytes(acceptor, sum), nextEvent(creator, 'drain')])
  assert.equal(bytes.length, sum)
  await eventually(() => con.bytesRead === client.connection.bytesWritten, 'the counts agree')
})

test('setNoDelay(), setKeepAlive(), ref() and unref() are passed on to a duplex that has them', async (t) => {
  const calls = []
  const [near, far] = duplexPair()
  for (const name of ['setNoDelay', 'setKeepAlive', 'ref', 'unref']) far[name] = (...args) => calls.push([name, ...args])
  const { con } = await carry(t, [near, far], { server: { keepAlive: true, keepAliveInitialDelay: 700 } })
  con.setNoDelay(false).setKeepAlive(true, 500).unref().ref()
  assert.deepEqual(calls, [['setNoDelay', true], ['setKeepAlive', true, 700], ['setNoDelay', false],
    ['setKeepAlive', true, 500], ['unref'], ['ref']])
})

test('setTimeout() sees traffic and silence', async (t) => {
  const { client, con } = await carry(t, duplexPair())
  con.setTimeout(200)
  const started = Date.now()
  client.StreamPool.createStream({}, () => {})
  await nextEvent(con, 'timeout')
  assert.ok(Date.now() - started >= 150)
})

test('a listener that throws does not break what carries it', async (t) => {
  const { client, con } = await carry(t, duplexPair())
  const before = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  const thrown = new Promise((resolve) => process.once('uncaughtException', resolve))
  con.once('stream', () => { throw new Error('mine') })
  client.StreamPool.createStream({}, () => {})
  assert.equal((await thrown).message, 'mine')
  for (const each of before) process.on('uncaughtException', each)
  const { creator, acceptor } = await openPair(client, con)
  creator.end(Buffer.from('still'))
  assert.equal(`${await collectBytes(acceptor)}`, 'still')
})


test('a server that cannot listen, or does not listen yet, takes nothing', async (t) => {
  const taken = net.createServer().listen(0, '127.0.0.1')
  await nextEvent(taken, 'listening')
  cleanup(t, () => taken.close())
  const failed = new MuxServer({ port: taken.address().port, host: '127.0.0.1' })
  await nextEvent(failed, 'error')
  const resolving = new MuxServer({ port: 0, host: 'localhost' })
  for (const server of [failed, resolving]) {
    const [, far] = duplexPair()
    const con = server.accept(far)
    assert.equal(con.destroyed, true)
    assert.equal((await nextEvent(con, 'error'))[0].code, 'ERR_SERVER_NOT_RUNNING')
    assert.equal(far.destroyed, true)
  }
  resolving.close()
})
