'use strict'

// Servers, clients and pairs of streams on free ports of the loopback interface, closed when the test ends.

const net = require('node:net')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const Muxer = process.env.MUX_TEST_CARRIER ? require('./carried.js') : require('../../index.js')
const { cleanup } = require('./cleanup.js')
const { within, nextEvent } = require('./events.js')

const { MuxServer, MuxClient } = Muxer

// What servers and clients made here speak, unless a test says: the files beside compat/legacy.test.js run both ways.
const PROTOCOL = process.env.MUX_TEST_PROTOCOL || 'auto'
const LEGACY = { protocol: 'legacy' }
const BOTH_LEGACY = { server: LEGACY, client: LEGACY }

// Resolves when `server` listens, and closes it and all it accepted with the test.
async function watchServer (t, server) {
  const connections = new Set()
  server.on('connection', (con) => {
    connections.add(con)
    con.once('close', () => connections.delete(con))
  })
  cleanup(t, () => {
    for (const con of connections) con.destroy()
    return within(new Promise((resolve) => server.close(() => resolve())), 'the server to close')
  })
  if (!server.listening) await nextEvent(server, 'listening')
  return server
}

function startServer (t, options = {}) {
  return watchServer(t, new MuxServer({ port: 0, host: '127.0.0.1', protocol: PROTOCOL, ...options }))
}

async function watchClient (t, client) {
  cleanup(t, () => client.destroy())
  if (client.connection === undefined) await nextEvent(client, 'connect')
  return client
}

function openClient (t, server, options = {}) {
  return watchClient(t, new MuxClient({ port: server.address().port, host: '127.0.0.1', protocol: PROTOCOL, ...options }))
}

// A server, a client of it, and the server's connection object.
async function connectPair (t, { server: serverOptions, client: clientOptions } = {}) {
  const server = await startServer(t, serverOptions)
  const accepted = nextEvent(server, 'connection')
  const client = await openClient(t, server, clientOptions)
  const [con] = await accepted
  return { server, con, client }
}

// Opens a stream at `from` (a client or a connection) and gives both of its ends.
async function openPair (from, to, meta = { purpose: 'test' }, options = undefined) {
  const accepted = nextEvent(to, 'stream')
  const creator = await within(from.StreamPool.createStream(meta, ...(options ? [options] : [])), 'the stream to open')
  const [acceptor] = await accepted
  return { creator, acceptor }
}

async function connectStream (t, options) {
  const pair = await connectPair(t, options)
  return { ...pair, ...await openPair(pair.client, pair.con) }
}

// A port nobody listens on at the moment, for the forms that take a number.
async function freePort () {
  const probe = net.createServer()
  probe.listen(0, '127.0.0.1')
  await nextEvent(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  await nextEvent(probe, 'close')
  return port
}

function temporaryFolder (t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'mux-'))
  cleanup(t, () => fs.rmSync(folder, { recursive: true, force: true }))
  return folder
}

// 'drain', or an error when the stream closes instead.
function drained (stream) {
  if (stream.closed) return Promise.reject(new Error('the stream is closed'))
  return within(new Promise((resolve, reject) => {
    const settle = (done) => (...args) => {
      stream.removeListener('drain', onDrain).removeListener('close', onClose)
      done(...args)
    }
    const onDrain = settle(resolve)
    const onClose = settle(() => reject(new Error('the stream closed while it was written')))
    stream.on('drain', onDrain).on('close', onClose)
  }), "a stream's 'drain'")
}

// Writes `count` chunks as fast as backpressure allows.
async function writeAll (stream, count, chunkOf) {
  for (let index = 0; index < count; index++) {
    if (!stream.write(chunkOf(index))) await drained(stream)
  }
}

module.exports = {
  BOTH_LEGACY,
  LEGACY,
  PROTOCOL,
  Muxer,
  MuxServer,
  MuxClient,
  watchServer,
  watchClient,
  startServer,
  openClient,
  connectPair,
  connectStream,
  openPair,
  freePort,
  temporaryFolder,
  writeAll
}
