'use strict'

// COMPAT.md, "Public surface": the module and MuxServer.

const test = require('node:test')
const assert = require('node:assert/strict')
const net = require('node:net')
const os = require('node:os')
const path = require('node:path')
const util = require('node:util')
const { EventEmitter } = require('node:events')
const { Muxer, MuxServer, MuxClient, watchServer, watchClient, startServer, openClient, freePort, temporaryFolder } =
  require('../support/mux.js')
const { nextEvent, events, within, eventually } = require('../support/events.js')
const { connectWire } = require('../support/wire.js')
const { run } = require('../support/child.js')

const hasIPv6 = Object.values(os.networkInterfaces()).flat().some(({ address }) => address === '::1')

test('the module is an object with MuxServer, MuxClient and util', () => {
  for (const name of ['MuxServer', 'MuxClient', 'util']) assert.ok(Object.hasOwn(Muxer, name), name)
  assert.equal(typeof Muxer.MuxServer, 'function')
  assert.equal(typeof Muxer.MuxClient, 'function')
  assert.equal(typeof Muxer.util.sendFile, 'function')
  assert.equal(typeof Muxer.util.receiveFile, 'function')
})

test('named imports work from an ES module, and so does the default import', async (t) => {
  const child = run(t, 'esm.mjs')
  assert.deepEqual(await child.report(), { MuxServer: 'function', MuxClient: 'function', util: 'object', same: true })
  assert.equal((await child.exit()).code, 0)
})

test('new MuxServer(port) listens at once and on both families', async (t) => {
  const port = await freePort()
  const server = await watchServer(t, new MuxServer(port))
  assert.ok(server instanceof EventEmitter)
  assert.equal(server.address().port, port)
  assert.equal(server.address().address, hasIPv6 ? '::' : '0.0.0.0')
  for (const host of hasIPv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1']) {
    const accepted = nextEvent(server, 'connection')
    const client = await watchClient(t, new MuxClient(port, host))
    const [con] = await accepted
    assert.ok(con instanceof EventEmitter)
    assert.equal(con.remotePort, client.connection.localPort)
  }
})

test('new MuxServer(port, ip) listens on that address only', async (t) => {
  const port = await freePort()
  const server = await watchServer(t, new MuxServer(port, '127.0.0.1'))
  assert.deepEqual(server.address(), { address: '127.0.0.1', family: 'IPv4', port })
  await watchClient(t, new MuxClient(port, '127.0.0.1'))
  const socket = net.connect(port, '127.0.0.2')
  const [error] = await nextEvent(socket, 'error')
  assert.equal(error.code, 'ECONNREFUSED')
})

test('new MuxServer({ port, host }) listens as net.Server does', async (t) => {
  const server = new MuxServer({ port: 0, host: '127.0.0.1' })
  const listening = nextEvent(server, 'listening')
  await watchServer(t, server)
  assert.deepEqual(await listening, [])
  assert.equal(server.listening, true)
  assert.equal(server.address().family, 'IPv4')
  assert.ok(server.address().port > 0)
})

test('{ ipv6Only: true } refuses IPv4', { skip: !hasIPv6 && 'no IPv6 here' }, async (t) => {
  const server = await watchServer(t, new MuxServer({ port: 0, host: '::', ipv6Only: true }))
  const { port } = server.address()
  await watchClient(t, new MuxClient({ port, host: '::1' }))
  const [error] = await nextEvent(net.connect(port, '127.0.0.1'), 'error')
  assert.equal(error.code, 'ECONNREFUSED')
})

test('a server and a client meet on a Unix socket path', async (t) => {
  const socketPath = path.join(temporaryFolder(t), 'a.sock')
  const server = await watchServer(t, new MuxServer(socketPath))
  assert.equal(server.address(), socketPath)
  const accepted = nextEvent(server, 'connection')
  const client = await new Promise((resolve) => {
    const each = new MuxClient(socketPath, () => resolve(each))
  })
  await watchClient(t, client)
  const [con] = await accepted
  const announced = nextEvent(con, 'stream')
  const creator = await client.StreamPool.createStream({ over: 'unix' })
  const [acceptor] = await announced
  assert.deepEqual(acceptor.meta, { over: 'unix' })
  const arrived = nextEvent(acceptor, 'data')
  creator.write(Buffer.from('through a path'))
  assert.equal(String((await arrived)[0]), 'through a path')
})

test('the options object takes a path, for server and client', async (t) => {
  const socketPath = path.join(temporaryFolder(t), 'b.sock')
  const server = await watchServer(t, new MuxServer({ path: socketPath }))
  assert.equal(server.address(), socketPath)
  const accepted = nextEvent(server, 'connection')
  await watchClient(t, new MuxClient({ path: socketPath }))
  await accepted
})

test('the socket file is gone once the server is closed', async (t) => {
  const socketPath = path.join(temporaryFolder(t), 'c.sock')
  const server = new MuxServer(socketPath)
  await nextEvent(server, 'listening')
  await within(new Promise((resolve) => server.close(resolve)), 'close')
  const again = await watchServer(t, new MuxServer(socketPath))
  assert.equal(again.address(), socketPath)
})

test('an occupied port is an error event with the fields of a Node system error', async (t) => {
  const { port } = (await startServer(t)).address()
  const second = new MuxServer(port, '127.0.0.1')
  const [error] = await nextEvent(second, 'error')
  assert.ok(error instanceof Error)
  assert.equal(error.code, 'EADDRINUSE')
  assert.equal(error.errno, os.constants.errno.EADDRINUSE * -1)
  assert.equal(error.syscall, 'listen')
  assert.equal(error.address, '127.0.0.1')
  assert.equal(error.port, port)
  assert.equal(second.listening, false)
})

test('an address that is not of this machine is an error event too', async () => {
  const server = new MuxServer({ port: 0, host: '192.0.2.1' })
  const [error] = await nextEvent(server, 'error')
  assert.equal(error.code, 'EADDRNOTAVAIL')
  assert.equal(error.syscall, 'listen')
})

test('an occupied path is EADDRINUSE', async (t) => {
  const socketPath = path.join(temporaryFolder(t), 'd.sock')
  await watchServer(t, new MuxServer(socketPath))
  const [error] = await nextEvent(new MuxServer(socketPath), 'error')
  assert.equal(error.code, 'EADDRINUSE')
  assert.equal(error.syscall, 'listen')
})

test('a listen error that nobody listens for ends the process', async (t) => {
  const { port } = (await startServer(t)).address()
  const child = run(t, 'process-life.js', ['listen-error', port])
  const { code, stderr } = await child.exit()
  assert.notEqual(code, 0)
  assert.match(stderr, /EADDRINUSE/)
})

test('close() stops listening before it returns: the port is free for the next server', async () => {
  for (let i = 0; i < 30; i++) {
    const first = new MuxServer({ port: 0, host: '127.0.0.1' })
    await nextEvent(first, 'listening')
    const { port } = first.address()
    first.close()
    const second = new MuxServer({ port, host: '127.0.0.1' })
    await nextEvent(second, 'listening')
    second.close()
    const [error] = await nextEvent(net.connect(port, '127.0.0.1'), 'error')
    assert.equal(error.code, 'ECONNREFUSED')
  }
})

test('close() removes the path before it returns, and never that of the next server', async (t) => {
  const socketPath = path.join(temporaryFolder(t), 'again.sock')
  for (let i = 0; i < 30; i++) {
    const first = new MuxServer(socketPath)
    await nextEvent(first, 'listening')
    first.close()
    const second = new MuxServer(socketPath)
    await nextEvent(second, 'listening')
    await nextEvent(first, 'close')
    const client = await watchClient(t, new MuxClient(socketPath))
    client.destroy()
    const closed = nextEvent(second, 'close')
    second.close()
    await closed
  }
})

test('close() among connects is no error', async (t) => {
  for (let i = 0; i < 40; i++) {
    const server = new MuxServer({ port: 0, host: '127.0.0.1' })
    await nextEvent(server, 'listening')
    server.on('error', (error) => assert.fail(error))
    server.on('connectionError', () => {})
    server.on('connection', (con) => con.destroy())
    const { port } = server.address()
    const sockets = Array.from({ length: 20 }, () => net.connect(port, '127.0.0.1').on('error', () => {}))
    await nextEvent(server, 'connection')
    const closed = nextEvent(server, 'close')
    server.close()
    await closed
    for (const socket of sockets) socket.destroy()
  }
})

test('close() stops listening, calls back and emits close, while connections go on', async (t) => {
  const server = new MuxServer({ port: 0, host: '127.0.0.1' })
  await nextEvent(server, 'listening')
  const { port } = server.address()
  const accepted = nextEvent(server, 'connection')
  const client = await watchClient(t, new MuxClient(port, '127.0.0.1'))
  const [con] = await accepted
  const order = []
  const closed = nextEvent(server, 'close')
  server.on('close', () => order.push('close'))
  server.close(() => order.push('callback'))
  assert.equal(server.listening, false)

  // The open connection still carries streams, and as in net the server counts as closed only when it is gone.
  const announced = nextEvent(con, 'stream')
  await client.StreamPool.createStream('after close()')
  assert.equal((await announced)[0].meta, 'after close()')
  const [error] = await nextEvent(net.connect(port, '127.0.0.1'), 'error')
  assert.equal(error.code, 'ECONNREFUSED')
  assert.deepEqual(order, [])
  client.end()
  await closed
  assert.deepEqual(order.sort(), ['callback', 'close'])
  assert.equal(server.address(), null)
})

test('close() of a server that is closed gives its callback an error', async () => {
  const server = new MuxServer({ port: 0, host: '127.0.0.1' })
  await nextEvent(server, 'listening')
  await within(new Promise((resolve) => server.close(resolve)), 'the first close')
  const [error] = await within(new Promise((resolve) => server.close((...args) => resolve(args))), 'the second close')
  assert.match(error.code, /^ERR_(MUX_)?SERVER_NOT_RUNNING$/)
})

test('getConnections counts the open connections', async (t) => {
  const server = await startServer(t)
  const count = () => within(new Promise((resolve, reject) => {
    server.getConnections((error, number) => error ? reject(error) : resolve(number))
  }), 'getConnections')
  assert.equal(await count(), 0)
  const accepted = events(server, 'connection', 2)
  const first = await openClient(t, server)
  await openClient(t, server)
  const [[con]] = await accepted
  assert.equal(await count(), 2)
  const closed = nextEvent(con, 'close')
  first.end()
  await closed
  assert.equal(await count(), 1)
})

test('past maxConnections a connection is dropped and reported', async (t) => {
  const server = await startServer(t)
  server.maxConnections = 1
  const accepted = nextEvent(server, 'connection')
  await openClient(t, server)
  await accepted
  const dropped = nextEvent(server, 'drop')
  const raw = await connectWire(t, server.address().port)
  const [data] = await dropped
  assert.equal(data.remotePort, raw.socket.localPort)
  assert.equal(data.localPort, server.address().port)
  await within(raw.closed, 'the dropped connection to close')
})

test('an AbortSignal closes the server', async () => {
  const controller = new AbortController()
  const server = new MuxServer({ port: 0, host: '127.0.0.1', signal: controller.signal })
  await nextEvent(server, 'listening')
  const closed = nextEvent(server, 'close')
  controller.abort()
  await closed
  assert.equal(server.listening, false)
})

test('util.inherits and MuxServer.call(this, port) build a server', async (t) => {
  function MyServer (port) {
    MuxServer.call(this, port)
    this.mine = true
  }
  util.inherits(MyServer, MuxServer)
  MyServer.prototype.greet = function () { return 'hello' }
  const port = await freePort()
  const server = await watchServer(t, new MyServer(port))
  assert.ok(server instanceof MyServer)
  assert.ok(server instanceof MuxServer)
  assert.ok(server instanceof EventEmitter)
  assert.equal(server.greet(), 'hello')
  assert.equal(server.mine, true)
  const accepted = nextEvent(server, 'connection')
  await watchClient(t, new MuxClient(port, '127.0.0.1'))
  await accepted
})

test('class extends MuxServer builds a server', async (t) => {
  class MyServer extends MuxServer {
    #mine = 1
    get mine () { return this.#mine }
  }
  const server = await watchServer(t, new MyServer({ port: 0, host: '127.0.0.1' }))
  assert.ok(server instanceof MyServer)
  assert.equal(server.mine, 1)
  const accepted = nextEvent(server, 'connection')
  await openClient(t, server)
  await accepted
})

test('arguments that make no sense are the caller\'s TypeError', () => {
  for (const bad of [
    () => new MuxServer({ port: 70000 }),
    () => new MuxServer({ port: 0, protocol: 'morse' }),
    () => new MuxServer({ port: 0, readableHighWaterMark: -1 }),
    () => new MuxServer({ port: 0, maxMetaSize: 'big' }),
    () => new MuxClient({ port: 'no port' }),
    () => new MuxClient({ port: 1, unclaimedLimit: NaN })
  ]) {
    assert.throws(bad, (error) => error instanceof TypeError && error.code === 'ERR_MUX_INVALID_ARG', String(bad))
  }
})

test('many servers of one process keep their connections apart', async (t) => {
  const servers = await Promise.all(Array.from({ length: 5 }, () => startServer(t)))
  const heard = servers.map(() => [])
  servers.forEach((server, index) => server.on('connection', (con) => {
    con.on('stream', (stream) => heard[index].push(stream.meta))
  }))
  for (const [index, server] of servers.entries()) {
    const client = await openClient(t, server)
    await client.StreamPool.createStream(index)
  }
  await eventually(() => heard.every((list) => list.length === 1), 'each server has its stream')
  assert.deepEqual(heard, [[0], [1], [2], [3], [4]])
})
