'use strict'

// Sockets of others: connected ones that are taken from net, and listening ones that are inherited.

const test = require('node:test')
const { deepEqual, equal, ok, rejects, throws } = require('node:assert/strict')
const { fork, spawn } = require('node:child_process')
const dgram = require('node:dgram')
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { Duplex } = require('node:stream')
const { take, whenTakeable } = require('../lib/handover.js')
const { collectBytes, eventually, nextEvent, within } = require('./support/events.js')
const { cleanup } = require('./support/cleanup.js')
const { openPair, startServer, temporaryFolder, watchClient, MuxClient, MuxServer } = require('./support/mux.js')

const skip = process.platform === 'win32'
const host = '127.0.0.1'
const fixture = path.join(__dirname, 'fixtures', 'inherits.js')

// A server of net's, and a function that connects to it and returns both ends.
async function startNet (t, options = {}, place = { port: 0, host }) {
  const server = net.createServer(options).listen(place)
  cleanup(t, () => { server.close() })
  await nextEvent(server, 'listening')
  const connect = async () => {
    const accepted = nextEvent(server, 'connection')
    const address = server.address()
    const socket = typeof address === 'string' ? net.connect(address) : net.connect(address.port, host)
    cleanup(t, () => { socket.destroy() })
    const [other] = await accepted
    cleanup(t, () => { other.destroy() })
    return [socket, other]
  }
  return { server, connect }
}

const ready = (socket) => new Promise((resolve, reject) => {
  whenTakeable(socket, (error) => error ? reject(error) : resolve())
})

for (const [name, isPath] of [['TCP', false], ['a Unix domain socket', true]]) {
  test(`both ends of a connection of ${name} are taken, and go on as muxed connections`, { skip }, async (t) => {
    const place = isPath ? { path: path.join(temporaryFolder(t), 'socket') } : undefined
    const { connect } = await startNet(t, {}, place)
    const server = await startServer(t)
    const [socket, other] = await connect()
    await ready(socket)
    const { localPort, remotePort } = socket
    for (const each of [socket, other]) {
      for (const event of ['error', 'end']) each.on(event, () => { throw new Error(`'${event}'`) })
    }
    const closed = [nextEvent(socket, 'close'), nextEvent(other, 'close')]
    const accepted = nextEvent(server, 'connection')
    const con = server.accept(other)
    const client = new MuxClient({ socket })
    cleanup(t, () => client.destroy())
    await watchClient(t, client)
    equal((await accepted)[0], con)
    deepEqual([client.connection.localPort, con.localPort], [localPort, remotePort])
    for (const [hadError] of await Promise.all(closed)) equal(hadError, false)
    for (const [from, to] of [[client, con], [con, client]]) {
      const { creator, acceptor } = await openPair(from, to)
      const sent = Buffer.alloc(300_000, 'x')
      creator.end(sent)
      ok((await collectBytes(acceptor)).equals(sent))
    }
    const end = nextEvent(con, 'close')
    client.end()
    deepEqual(await end, [false])
  })
}

test('what was read before comes first, however much it is, and each byte once', { skip }, async (t) => {
  const server = await startServer(t, { protocol: 'legacy' })
  const sent = Buffer.from(Array.from({ length: 500_000 }, (_, i) => i % 251))
  const said = await recorded(t, server, async (client) => {
    const stream = await client.StreamPool.createStream('early')
    for (let i = 0; i < sent.length; i += 10_000) stream.write(sent.subarray(i, i + 10_000))
    stream.end()
  })
  const { connect } = await startNet(t)
  // Far more than one read of ours.
  for (const cut of [said.length, 300_000, 1]) {
    const [socket, other] = await connect()
    other.unshift(said.subarray(0, cut))
    socket.resume().write(said.subarray(cut))
    const heard = firstStream(server)
    equal(server._adopt(take(other)), undefined)
    ok((await heard).equals(sent))
  }
})

// The bytes of the first stream of the next connection.
function firstStream (server) {
  return within(new Promise((resolve, reject) => {
    server.once('connection', (con) => con.once('stream', (stream) => collectBytes(stream).then(resolve, reject)))
  }), 'the stream')
}

// The bytes that a client says to a server of the legacy wire, which a peer may repeat.
async function recorded (t, server, speak) {
  const { server: relay } = await startNet(t)
  const chunks = []
  relay.on('connection', (socket) => {
    const onward = net.connect(server.address().port, host)
    socket.on('data', (chunk) => chunks.push(chunk)).pipe(onward).pipe(socket)
  })
  const heard = firstStream(server)
  const client = new MuxClient({ host, port: relay.address().port, protocol: 'legacy' })
  cleanup(t, () => client.destroy())
  await Promise.all([heard, speak(client)])
  return Buffer.concat(chunks)
}

test('a PROXY header is read of what was read before, and of the socket', { skip }, async (t) => {
  const { connect } = await startNet(t)
  const server = await startServer(t, { proxyProtocol: { trusted: [host] } })
  const header = Buffer.from('PROXY TCP4 203.0.113.7 198.51.100.1 50000 443\r\n')
  for (const cut of [0, 1, 20, header.length - 1, header.length]) {
    const [socket, other] = await connect()
    const accepted = nextEvent(server, 'connection')
    if (cut > 0) other.unshift(header.subarray(0, cut))
    server._adopt(take(other))
    socket.write(header.subarray(cut))
    const [con] = await accepted
    deepEqual([con.remoteAddress, con.localPort], ['203.0.113.7', 443])
    con.destroy()
  }
})

test('a peer that has reset its connection before the socket is taken is no error', { skip }, async (t) => {
  const { connect } = await startNet(t, { pauseOnConnect: true })
  const server = await startServer(t)
  server.on('error', (error) => { throw error })
  const [socket, other] = await connect()
  socket.resetAndDestroy()
  await new Promise((resolve) => setTimeout(resolve, 50))
  server._receive(take(other.on('error', () => {})))
  equal(other.destroyed, true)
  const [, next] = await connect()
  server._receive(take(next))
  await nextEvent(server, 'connection')
})

test('a socket that another listener has done something with is not taken, and ends no process', { skip }, async (t) => {
  const use = [(socket) => socket.destroy(), (socket) => socket.setEncoding('utf8'), (socket) => socket.end('no')]
  for (const spoil of use) {
    const listener = net.createServer(spoil)
    await new Promise((resolve) => listener.listen(0, host, resolve))
    const server = new MuxServer({ server: listener, proxyProtocol: { trusted: [host] } })
    const errors = []
    server.on('error', (error) => errors.push(error.code))
    const socket = net.connect(listener.address().port, host).on('error', () => {}).resume()
    await nextEvent(socket, 'close')
    deepEqual(errors, spoil === use[0] ? [] : ['ERR_MUX_INVALID_ARG'])
    server.close()
    await new Promise((resolve) => listener.close(resolve))
  }
})

test('the server asks about a socket that it is given, and counts it', { skip }, async (t) => {
  const { connect } = await startNet(t)
  const asked = []
  const server = await startServer(t, {
    maxConnections: 1, verifyConnection ({ remotePort }) { asked.push(remotePort); return asked.length > 1 }
  })
  for (const reason of ['ERR_MUX_REFUSED', undefined, 'ERR_MUX_MAX_CONNECTIONS']) {
    const [, other] = await connect()
    const event = nextEvent(server, reason === undefined ? 'connection' : 'drop')
    server._adopt(take(other))
    const [, error] = await event
    equal(error?.code, reason)
    // A connection that was refused keeps its place until it is over.
    await eventually(() => server._connections.size === Number(reason !== 'ERR_MUX_REFUSED'), 'its place')
  }
})

test('what is no socket of the system is not taken', { skip }, async (t) => {
  const { connect } = await startNet(t)
  const [socket] = await connect()
  for (const other of [new Duplex(), new net.Socket(), {}, undefined]) equal(take(other), undefined)
  socket.encrypted = true
  equal(take(socket), undefined)
})

test('a socket that cannot be taken says why', { skip }, async (t) => {
  const { connect } = await startNet(t, { allowHalfOpen: true })
  const refuses = async (socket, words) => {
    throws(() => take(socket), { code: 'ERR_MUX_INVALID_ARG', message: words })
    await rejects(ready(socket), { code: 'ERR_MUX_INVALID_ARG', message: words })
  }
  const sockets = []
  for (let i = 0; i < 3; i++) sockets.push((await connect())[1])
  await refuses(sockets[0].destroy(), /a socket that is open/)
  await refuses(sockets[1].end(), /whose writing half is open/)
  await refuses(sockets[2].setEncoding('utf8'), /without setEncoding/)
})

test('what is still to be written is written before', { skip }, async (t) => {
  const { connect } = await startNet(t)
  const [socket, other] = await connect()
  await ready(socket)
  const sent = Buffer.alloc(16 << 20, 'x')
  other.write(sent)
  ok(other.writableLength > 0)
  throws(() => take(other), { code: 'ERR_MUX_INVALID_ARG', message: /nothing left to write/ })
  let length = 0
  const all = new Promise((resolve) => {
    socket.on('data', (chunk) => { if ((length += chunk.length) >= sent.length) resolve() })
  })
  await within(ready(other), 'the last byte')
  const server = await startServer(t)
  equal(server._adopt(take(other)), undefined)
  await within(all, 'all bytes')
  // The first words of the muxed connection may follow.
  ok(length >= sent.length)
  // A socket that breaks while it writes is an error of the wait.
  const [, broken] = await connect()
  broken.on('error', () => {}).write(sent)
  const broke = rejects(ready(broken))
  broken.destroy(new Error('broken'))
  await within(broke, 'the error')
})

test('a descriptor that is no connected stream is an error with a code', { skip }, async (t) => {
  const server = await startServer(t)
  const udp = dgram.createSocket('udp4').bind(0, host)
  cleanup(t, () => { udp.close() })
  await nextEvent(udp, 'listening')
  const { server: listening } = await startNet(t)
  const file = fs.openSync(__filename)
  cleanup(t, () => { fs.closeSync(file) })
  const { [Object.getOwnPropertySymbols(udp).find((it) => String(it).includes('state'))]: { handle } } = udp
  for (const [fd, code] of [
    [-1, 'EBADF'], [99_999, 'EBADF'], [file, 'ENOTSOCK'], [handle.fd, 'EPROTOTYPE'], [listening._handle.fd, 'ENOTCONN']
  ]) {
    let isReleased = false
    const taken = { fd, head: Buffer.alloc(0), release () { isReleased = true } }
    const error = server._adopt(taken)
    deepEqual([error.code, error.syscall, error.message, isReleased], [code, 'open', `open ${code}`, true])
  }
})

test('a server that has closed takes nothing', { skip }, async (t) => {
  const { connect } = await startNet(t)
  const server = await startServer(t)
  server.close()
  const [socket, other] = await connect()
  const end = nextEvent(socket, 'end')
  socket.resume()
  equal(server._adopt(take(other)).code, 'ERR_SERVER_NOT_RUNNING')
  await end
})

function lines (child) {
  const waiting = []
  const ready = []
  let rest = ''
  child.stdout.on('data', (text) => {
    const all = (rest + text).split('\n')
    rest = all.pop()
    for (const line of all) waiting.length > 0 ? waiting.shift()(JSON.parse(line)) : ready.push(JSON.parse(line))
  })
  return () => within(ready.length > 0 ? ready.shift() : new Promise((resolve) => waiting.push(resolve)), 'a line')
}

test('a connection that another process accepted is taken there', { skip }, async (t) => {
  const child = fork(fixture, { stdio: ['pipe', 'pipe', 'inherit', 'ipc'] })
  cleanup(t, () => { child.kill() })
  const line = lines(child)
  await line()
  const { server, connect } = await startNet(t, { pauseOnConnect: true })
  server.on('connection', (socket) => child.send('socket', socket))
  const [socket] = await connect()
  await ready(socket)
  const { localPort } = socket
  const client = new MuxClient({ socket })
  cleanup(t, () => client.destroy())
  await watchClient(t, client)
  equal(await line(), localPort)
  ok(await client.ping() >= 0)
})

for (const isPath of [false, true]) {
  test(`a child listens on a ${isPath ? 'Unix domain' : 'TCP'} socket that it inherits, and no longer than it wants`, { skip }, async (t) => {
    const { server } = await startNet(t, {}, isPath ? { path: path.join(temporaryFolder(t), 'socket') } : undefined)
    const child = spawn(process.execPath, [fixture, 'listens'], { stdio: ['pipe', 'pipe', 'inherit', server._handle.fd] })
    cleanup(t, () => { child.kill() })
    const line = lines(child)
    const place = server.address()
    deepEqual(await line(), place)
    // Both listen: connections go to either.
    const told = line()
    let isTold = false
    told.then(() => { isTold = true })
    while (!isTold) {
      const client = new MuxClient(isPath ? { path: place } : { port: place.port, host })
      client.on('error', () => {})
      await Promise.race([nextEvent(client, 'connect').then(() => client.ping()).catch(() => {}), told,
        nextEvent(server, 'connection').then(([socket]) => socket.destroy())])
      client.destroy()
    }
    const exit = nextEvent(child, 'exit')
    child.stdin.write('close\n')
    deepEqual(await exit, [0, null])
    // The parent's socket still listens.
    const accepted = nextEvent(server, 'connection')
    const last = isPath ? net.connect(place) : net.connect(place.port, host)
    cleanup(t, () => { last.destroy() })
    await accepted
  })
}

test('a descriptor that cannot listen is an error in the words of net', { skip }, async (t) => {
  const file = fs.openSync(__filename)
  cleanup(t, () => { fs.closeSync(file) })
  const { connect } = await startNet(t)
  const [socket] = await connect()
  await ready(socket)
  for (const fd of [99_999, file, socket._handle.fd]) {
    const server = new MuxServer({ fd })
    const [error] = await nextEvent(server, 'error')
    deepEqual([error.code, error.syscall, error.message], ['EINVAL', 'listen', 'listen EINVAL: invalid argument'])
    fs.fstatSync(fd === 99_999 ? file : fd)
  }
  for (const fd of [-1, 1.5, '3', null]) throws(() => new MuxServer({ fd }), { code: 'ERR_MUX_INVALID_ARG' })
})
