'use strict'

// Connections over the streams that programs have: a child's stdio, TLS of Node's, a stream of another connection, an upgrade
// of HTTP, a WebSocket (package ws) and a channel of SSH (package ssh2).

const test = require('node:test')
const assert = require('node:assert/strict')
const { generateKeyPairSync, randomBytes } = require('node:crypto')
const { spawn } = require('node:child_process')
const http = require('node:http')
const net = require('node:net')
const path = require('node:path')
const { Duplex } = require('node:stream')
const tls = require('node:tls')
const { carry, duplexPair } = require('../support/carried.js')
const { cleanup } = require('../support/cleanup.js')
const { openPair, MuxServer, MuxClient } = require('../support/mux.js')
const { collectBytes, nextEvent, within } = require('../support/events.js')
const { frame } = require('../support/wire.js')

const PSK = { ciphers: 'PSK', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }
const SECRET = Buffer.from('0123456789abcdef')

function listen (t, server) {
  cleanup(t, () => {
    server.closeAllConnections?.()
    server.close()
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)))
}

// A server that sends back what comes on each stream.
function echoServer (t, options = { noServer: true }) {
  const server = new MuxServer(options)
  server.on('connection', (con) => {
    con.on('stream', (stream) => stream.pipe(stream)).on('error', () => {})
  })
  server.on('connectionError', () => {})
  cleanup(t, () => within(new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  }), 'the server to close'))
  return server
}

// Sends a MiB through an echo, and ends the connection.
async function roundTrip (client) {
  if (client.connection === undefined) await nextEvent(client, 'connect')
  const bytes = randomBytes(1 << 20)
  const stream = await within(client.StreamPool.createStream({ name: 'echo' }), 'the stream to open')
  const echo = collectBytes(stream)
  stream.end(bytes)
  assert.ok((await echo).equals(bytes))
  const closed = nextEvent(client, 'close')
  client.end()
  assert.deepEqual(await closed, [false])
}

test('a child over its stdio', async (t) => {
  const child = spawn(process.execPath, [path.join(__dirname, '..', 'fixtures', 'stdio-server.js')], {
    stdio: ['pipe', 'pipe', 'inherit']
  })
  const stdio = new Duplex({
    read () { child.stdout.resume() },
    write (chunk, encoding, done) { child.stdin.write(chunk, done) },
    final (done) { child.stdin.end(done) }
  })
  child.stdout.on('data', (chunk) => { if (!stdio.push(chunk)) child.stdout.pause() })
  child.stdout.on('end', () => stdio.push(null))
  const exited = nextEvent(child, 'exit')
  await roundTrip(new MuxClient({ socket: stdio }))
  assert.deepEqual(await exited, [0, null])
})

test('tls.TLSSocket at both ends, by the server of either', async (t) => {
  const secured = tls.createServer({ ...PSK, pskCallback: () => SECRET })
  const port = await listen(t, secured)
  echoServer(t, { server: secured })
  const socket = tls.connect({
    ...PSK, port, host: '127.0.0.1', pskCallback: () => ({ psk: SECRET, identity: 'x' }), checkServerIdentity: () => undefined
  })
  const client = new MuxClient({ socket })
  let isSecure = false
  socket.once('secureConnect', () => { isSecure = true })
  await nextEvent(client, 'connect')
  assert.ok(isSecure)
  await roundTrip(client)
})

test('TLS that fails is an error of the client', async (t) => {
  const secured = tls.createServer({ ...PSK, pskCallback: () => SECRET })
  secured.on('tlsClientError', () => {})
  const port = await listen(t, secured)
  echoServer(t, { server: secured })
  const pskCallback = () => ({ psk: Buffer.from('another key'), identity: 'x' })
  const socket = tls.connect({ ...PSK, port, host: '127.0.0.1', pskCallback, checkServerIdentity: () => undefined })
  const client = new MuxClient({ socket })
  client.on('connect', () => assert.fail('not connected'))
  const [error] = await nextEvent(client, 'error')
  assert.match(error.code, /^ERR_SSL_|ECONNRESET/)
})

test('a stream of another connection, with messages or without', async (t) => {
  for (const messages of [true, false]) {
    const outer = await carry(t, duplexPair())
    const { creator, acceptor } = await openPair(outer.client, outer.con, {}, { messages })
    echoServer(t).accept(acceptor)
    await roundTrip(new MuxClient({ socket: creator }))
  }
})

test('an upgrade of HTTP, beside requests and other upgrades', async (t) => {
  const web = http.createServer((request, response) => response.end('a page'))
  const port = await listen(t, web)
  const infos = []
  const verifyConnection = (info) => {
    infos.push(info)
    return true
  }
  echoServer(t, { server: web, path: '/mux', verifyConnection })
  const ask = (upgrade, url, method = 'GET') => new Promise((resolve) => {
    const request = http.request({
      port, host: '127.0.0.1', path: url, method, headers: upgrade && { Connection: 'Upgrade', Upgrade: upgrade }
    })
    request.on('upgrade', (response, socket, head) => resolve({ response, socket, head }))
    request.on('response', (response) => resolve({ response: response.resume() }))
    request.end()
  })
  const { response, socket, head } = await ask('TCP-Stream-Muxer', '/mux?a=b')
  assert.deepEqual([response.statusCode, response.headers.upgrade], [101, 'tcp-stream-muxer'])
  if (head.length > 0) socket.unshift(head)
  await roundTrip(new MuxClient({ socket }))
  assert.equal(infos[0].request.url, '/mux?a=b')
  const statuses = []
  for (const args of [[undefined, '/mux'], ['tcp-stream-muxer', '/other'], ['h2c', '/mux'], ['tcp-stream-muxer', '/mux', 'POST']]) {
    statuses.push((await ask(...args)).response.statusCode)
  }
  assert.deepEqual(statuses, [200, 404, 426, 405])
  web.on('upgrade', (request, socket) => {
    if (request.headers.upgrade === 'mine') socket.end('HTTP/1.1 101 Mine\r\nConnection: Upgrade\r\nUpgrade: mine\r\n\r\n')
  })
  assert.equal((await ask('mine', '/mux')).response.statusMessage, 'Mine', 'other listeners have the others')
})

test('two servers share one of HTTP, and a path of neither is refused', async (t) => {
  const web = http.createServer()
  cleanup(t, () => web.close())
  await new Promise((resolve) => web.listen(0, '127.0.0.1', resolve))
  const paths = ['/a', '/b']
  const servers = paths.map((path) => new MuxServer({ server: web, path }))
  const ask = (url, upgrade = 'tcp-stream-muxer') => new Promise((resolve, reject) => {
    const request = http.request({
      port: web.address().port, host: '127.0.0.1', path: url, headers: { Connection: 'Upgrade', Upgrade: upgrade }
    })
    request.on('upgrade', (response, socket) => resolve({ status: response.statusCode, socket }))
    request.on('response', (response) => resolve({ status: response.statusCode })).on('error', reject).end()
  })
  for (const [i, path] of paths.entries()) {
    const accepted = nextEvent(servers[i], 'connection')
    const { socket } = await ask(path)
    const client = new MuxClient({ socket })
    const [con] = await accepted
    const { creator, acceptor } = await openPair(client, con)
    creator.end(Buffer.from(path))
    assert.equal(`${await collectBytes(acceptor)}`, path)
    client.destroy()
  }
  assert.equal((await ask('/c')).status, 404)
  assert.equal((await ask('/a', 'other')).status, 426)
  servers[0].close()
  assert.equal((await ask('/a')).status, 404)
  servers[1].close()
})

test('an error of a server that others share is reported once, wherever somebody listens', () => {
  for (const heard of [[], [1], [0, 1]]) {
    const web = http.createServer()
    const servers = ['/a', '/b'].map((path) => new MuxServer({ server: web, path }))
    const seen = []
    for (const i of heard) servers[i].on('error', () => seen.push(i))
    const report = () => web.emit('error', new Error('mine'))
    if (heard.length === 0) assert.throws(report, /mine/)
    else report()
    assert.deepEqual(seen, heard)
    for (const server of servers) server.close()
  }
})

test('bytes that come with the request of an upgrade are not lost', async (t) => {
  const web = http.createServer()
  const port = await listen(t, web)
  const server = echoServer(t, { server: web, protocol: 'legacy' })
  const socket = net.connect(port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp-stream-muxer\r\n\r\n')
  socket.write(frame(0, 2, 'null')) // an open of 0.1.0
  // The stream comes before a promise of the connection would be settled.
  await within(new Promise((resolve) => server.once('connection', (con) => con.once('stream', resolve))), 'the stream')
  socket.destroy()
})

test('a WebSocket', async (t) => {
  const { WebSocket, WebSocketServer, createWebSocketStream } = require('ws')
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  cleanup(t, () => sockets.close())
  await nextEvent(sockets, 'listening')
  const server = echoServer(t)
  sockets.on('connection', (socket) => server.accept(createWebSocketStream(socket)))
  const socket = new WebSocket(`ws://127.0.0.1:${sockets.address().port}`)
  await roundTrip(new MuxClient({ socket: createWebSocketStream(socket) }))
})

test('a channel of SSH', async (t) => {
  const ssh = require('ssh2')
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'pkcs1', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' }
  })
  const server = echoServer(t)
  const listener = new ssh.Server({ hostKeys: [privateKey] }, (peer) => {
    peer.on('authentication', (request) => request.accept()).on('error', () => {})
    peer.on('ready', () => peer.on('session', (accept) => {
      accept().on('exec', (acceptExec) => server.accept(acceptExec()))
    }))
  })
  const port = await listen(t, listener)
  const shell = new ssh.Client()
  cleanup(t, () => shell.end())
  const ready = nextEvent(shell, 'ready')
  shell.connect({ host: '127.0.0.1', port, username: 'x', password: 'y' })
  await ready
  const socket = await new Promise((resolve, reject) => shell.exec('mux', (error, channel) => error ? reject(error) : resolve(channel)))
  await roundTrip(new MuxClient({ socket }))
})

test('what is written before the process exits is written to the carrier', async (t) => {
  for (const length of [10, 3_000_000]) {
    const child = spawn(process.execPath, [path.join(__dirname, '..', 'fixtures', 'exit-over-pipe.js'), String(length)], {
      stdio: ['ignore', 'pipe', 'inherit']
    })
    const bytes = await collectBytes(child.stdout)
    assert.ok(bytes.length > length, `${bytes.length} of ${length} bytes`)
    assert.ok(bytes.subarray(-length - 2).equals(Buffer.from(`"${'x'.repeat(length)}"`)))
  }
})
