'use strict'

// Peers that take too long, over real sockets: they are noticed, and those that merely are silent, slow or paused live on.

const test = require('node:test')
const assert = require('node:assert/strict')
const net = require('node:net')
const { connectPair, openPair, startServer, watchClient, MuxClient } = require('./support/mux.js')
const { connectWire, frame } = require('./support/wire.js')
const { frames: f, offer, record, siege } = require('./support/qmux-wire.js')
const { run } = require('./support/child.js')
const { cleanup } = require('./support/cleanup.js')
const { eventually, nextEvent } = require('./support/events.js')

// A server, and how each of its connections ended: the code, or none.
async function watched (t, options) {
  const server = await startServer(t, options)
  const ends = new Map()
  server.on('connection', (con) => {
    const end = {}
    ends.set(con.remotePort, end)
    con.on('error', (error) => Object.assign(end, { code: error.code, message: error.message, origin: error.origin }))
    con.on('close', () => { end.closed = true })
  })
  const connect = async (bytes) => {
    const wire = await connectWire(t, server.address().port)
    if (bytes !== undefined) wire.send(bytes)
    const port = wire.socket.localPort
    await eventually(() => ends.has(port), 'it to be accepted')
    return { wire, end: ends.get(port) }
  }
  return { server, connect }
}

for (const protocol of ['auto', 'legacy']) {
  test(`who begins to say what it speaks has to end, and who says nothing is a client of 0.1.0 (${protocol})`, async (t) => {
    const { connect } = await watched(t, { protocol, handshakeTimeout: 150 })
    const silent = await connect()
    const late = [await connect(Buffer.from([0, 0])), await connect(record(f.parameters()).subarray(0, 7))]
    if (protocol === 'auto') late.push(await connect(offer().subarray(0, 30)), await connect(record(f.parameters()).subarray(0, 20)))
    await eventually(() => late.every(({ end }) => end.closed), 'the late ones to be ended')
    for (const { end } of late) assert.deepEqual([end.code, end.origin], ['ERR_MUX_HANDSHAKE_TIMEOUT', 'peer'])
    // It is served after that time as well.
    silent.wire.send(frame(0, 2, 'null'))
    assert.equal((await silent.wire.frame()).type, 4)
    assert.equal(silent.end.closed, undefined)
  })
}

test('with protocol \'qmux\' a server, or a client, that says nothing is late', async (t) => {
  const { connect } = await watched(t, { protocol: 'qmux', handshakeTimeout: 100 })
  const { end } = await connect()
  await eventually(() => end.closed, 'it to be ended')
  assert.equal(end.code, 'ERR_MUX_HANDSHAKE_TIMEOUT')

  const deaf = net.createServer((socket) => socket.on('error', () => {}).resume())
  deaf.listen(0, '127.0.0.1')
  await nextEvent(deaf, 'listening')
  cleanup(t, () => deaf.close())
  const client = new MuxClient({ port: deaf.address().port, host: '127.0.0.1', protocol: 'qmux', handshakeTimeout: 100 })
  const [error] = await nextEvent(client, 'error')
  assert.equal(error.code, 'ERR_MUX_HANDSHAKE_TIMEOUT')
})

test('the idle timeout ends a connection of the legacy wire, and traffic either way keeps it', async (t) => {
  const options = { protocol: 'legacy', idleTimeout: 200 }
  const { client, con } = await connectPair(t, { server: options, client: { protocol: 'legacy' } })
  const { creator, acceptor } = await openPair(client, con)
  let count = 0
  acceptor.on('data', () => count++)
  const started = Date.now()
  const timer = setInterval(() => creator.write(Buffer.from('x')), 20)
  cleanup(t, () => clearInterval(timer))
  await eventually(() => Date.now() - started > 500 && count > 5, 'messages for more than twice the time')
  assert.ok(!con.destroyed)
  const failed = nextEvent(con, 'error')
  clearInterval(timer)
  assert.equal((await failed)[0].code, 'ERR_MUX_IDLE_TIMEOUT')
})

const STRANGERS = [
  ['TLS', Buffer.from('16030100f8010000f40303', 'hex')],
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
  ['HTTP', Buffer.from('POST /x HTTP/1.1\r\n')],
  ['HTTP/2', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
  ['SSH', Buffer.from('SSH-2.0-OpenSSH_9.6\r\n')]
]

for (const protocol of ['auto', 'legacy', 'qmux']) {
  test(`a stranger at a server is named (${protocol})`, async (t) => {
    const { connect } = await watched(t, { protocol })
    for (const [name, bytes] of STRANGERS) {
      for (const cut of [bytes.length, 1, 3]) {
        const { wire, end } = await connect(bytes.subarray(0, cut))
        if (cut < bytes.length) setImmediate(() => wire.send(bytes.subarray(cut)))
        await eventually(() => end.closed, `${name} to be refused`)
        assert.deepEqual([end.code, end.origin], ['ERR_MUX_WRONG_PROTOCOL', 'peer'])
        assert.match(end.message, new RegExp(`speaks ${name} and not`))
      }
    }
  })

  test(`a server of strangers is named (${protocol})`, async (t) => {
    const answers = [['HTTP', 'HTTP/1.1 400 Bad Request\r\n\r\n'], ['TLS', Buffer.from('15030100020246', 'hex')], ['SSH', 'SSH-2.0-x\r\n']]
    for (const [name, answer] of answers) {
      const server = net.createServer((socket) => socket.on('error', () => {}).end(answer))
      server.listen(0, '127.0.0.1')
      await nextEvent(server, 'listening')
      cleanup(t, () => server.close())
      const client = new MuxClient({ port: server.address().port, host: '127.0.0.1', protocol })
      const [error] = await nextEvent(client, 'error')
      assert.equal(error.code, 'ERR_MUX_WRONG_PROTOCOL')
      assert.match(error.message, new RegExp(`speaks ${name} and not`))
    }
  })
}

test('a frozen server is noticed, whether there is something to send to it or not', async (t) => {
  const child = run(t, 'server.js', ['read'])
  const port = Number(await child.line())
  const options = { port, host: '127.0.0.1', protocol: 'auto', pingInterval: 100, pingTimeout: 400 }
  const idle = await watchClient(t, new MuxClient(options))
  const busy = await watchClient(t, new MuxClient(options))
  const block = Buffer.alloc(64 * 1024)
  const stream = await busy.StreamPool.createStream('bulk')
  stream.on('error', () => {})
  const fill = () => { while (stream.write(block)); }
  stream.on('drain', fill)
  fill()
  // It answers while it lives.
  await idle.connection.ping()
  const failed = [idle, busy].map((client) => nextEvent(client, 'error'))
  child.process.kill('SIGSTOP')
  cleanup(t, () => child.process.kill('SIGCONT'))
  for (const [error] of await Promise.all(failed)) assert.deepEqual([error.code, error.origin], ['ERR_MUX_PING_TIMEOUT', 'peer'])
})

test('a ping that somebody asked for is answered in time, or ends the connection, without an interval', async (t) => {
  const { connect } = await watched(t, { protocol: 'qmux', pingInterval: 0, pingTimeout: 100 })
  const { end } = await connect(record(f.parameters()))
  assert.equal(end.closed, undefined)
  const { open, fails } = await siege(t, { pingInterval: 0, pingTimeout: 100 })
  const attacker = await open()
  const pinged = attacker.con.ping()
  await assert.rejects(pinged, { code: 'ERR_MUX_PING_TIMEOUT' })
  await fails(attacker, 'ERR_MUX_PING_TIMEOUT')
})

test('a connection that is paused, at the end that is full or at the other, is not cut off', async (t) => {
  const options = { protocol: 'auto', pingInterval: 60, pingTimeout: 600 }
  const { client, con } = await connectPair(t, { server: options, client: options })
  const { creator, acceptor } = await openPair(client, con)
  const wrong = []
  for (const each of [client, con]) each.on('error', (error) => wrong.push(error))
  let bytes = 0
  acceptor.on('data', (chunk) => { bytes += chunk.length })
  con.pause()
  const sent = 32 * 1024 * 1024
  for (let n = 0; n < 32; n++) creator.write(Buffer.alloc(1024 * 1024))
  // Three times as long as a silent peer has; its own pings come meanwhile, of at least 10 bytes.
  const before = client.connection.bytesRead
  const started = Date.now()
  await eventually(() => Date.now() - started > 3 * 660 && client.connection.bytesRead - before >= 50, 'pings of the paused end')
  assert.deepEqual(wrong, [])
  con.resume()
  await eventually(() => bytes === sent, 'all of it')
  assert.deepEqual(wrong, [])
})
