'use strict'

// What Node builds on a socket, built on a stream; and the bounds of messages where Node asks for a stream's mode.

const test = require('node:test')
const assert = require('node:assert/strict')
const http = require('node:http')
const http2 = require('node:http2')
const tls = require('node:tls')
const { PassThrough, Readable, compose, pipeline } = require('node:stream')
const { text } = require('node:stream/consumers')
const { connectPair, openPair } = require('./support/mux.js')
const { nextEvent, turn, within } = require('./support/events.js')

const QMUX = { server: { protocol: 'auto' }, client: { protocol: 'auto' } }

async function connect (t, options = QMUX) {
  const pair = await connectPair(t, options)
  await within(pair.client.ping(), 'the ping')
  return pair
}

test('an http.Agent keeps a stream alive and uses it again', async (t) => {
  const { client, con } = await connect(t)
  const server = http.createServer((request, response) => request.pipe(response))
  con.on('stream', (stream) => server.emit('connection', stream.setDefaultEncoding('utf8')))
  let opened = 0
  const agent = new http.Agent({ keepAlive: true, timeout: 60_000 })
  t.after(() => agent.destroy())
  agent.createConnection = (options, done) => {
    client.StreamPool.createStream(null, (stream) => {
      opened++
      done(null, stream.setDefaultEncoding('utf8'))
    })
  }
  const ask = (body) => within(new Promise((resolve, reject) => {
    const request = http.request({ agent, host: 'x', method: 'POST' }, (response) => resolve(text(response)))
    request.on('error', reject).end(body)
  }), 'the answer')
  const freed = () => within(new Promise((resolve) => agent.once('free', resolve)), 'the stream to be free')
  for (const body of ['one', 'two', 'three']) {
    const free = freed()
    assert.equal(await ask(body), body)
    await free
    await turn()
  }
  assert.equal(opened, 1)
})

test('HTTP/2 runs over streams, created and accepted', async (t) => {
  for (const messages of [true, false]) {
    const { client, con } = await connect(t)
    const server = http2.createServer((request, response) => request.pipe(response))
    server.on('sessionError', (error) => assert.fail(error))
    con.on('stream', (stream) => server.emit('connection', stream))
    const stream = await within(client.StreamPool.createStream(null, { messages }), 'the stream')
    const session = http2.connect('http://x', { createConnection: () => stream })
    const request = session.request({ ':path': '/', ':method': 'POST' })
    request.end('hello')
    assert.equal(await within(text(request), 'the answer'), 'hello')
    const closed = nextEvent(session, 'close')
    session.destroy()
    await closed
  }
})

test('TLS runs over a stream', async (t) => {
  const { client, con } = await connect(t)
  const psk = { psk: Buffer.alloc(32, 7), identity: 'test' }
  const suite = { ciphers: 'PSK-AES256-GCM-SHA384', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }
  con.on('stream', (stream) => {
    const server = new tls.TLSSocket(stream, { isServer: true, ...suite, pskCallback: () => psk.psk })
    server.on('data', (data) => server.end(`you said ${data}`))
  })
  const stream = await within(client.StreamPool.createStream(null), 'the stream')
  const secure = tls.connect({ socket: stream, ...suite, pskCallback: () => psk, checkServerIdentity: () => undefined })
  secure.write('hi')
  assert.equal(await within(text(secure), 'the answer'), 'you said hi')
})

// ---- the bounds of messages ----

const COUNT = 200
const WRITES = Array.from({ length: COUNT }, (_, index) => `message ${index}`)

// A stream on which all of them wait, one after the other.
async function filled (t, side) {
  const { client, con } = await connect(t)
  const { creator, acceptor } = await openPair(client, con)
  const [from, to] = side === 'acceptor' ? [creator, acceptor] : [acceptor, creator]
  to.pause()
  for (const each of WRITES) from.write(Buffer.from(each))
  await within(new Promise((resolve) => from.end(resolve)), 'the end to be sent')
  await within(client.ping(), 'the ping')
  return to
}

const WAYS = {
  'async iteration': (stream) => stream,
  'Readable.toWeb()': (stream) => Readable.toWeb(stream),
  'an operator': (stream) => stream.filter(() => true),
  'pipeline() into object mode': (stream) => pipeline(stream, new PassThrough({ objectMode: true }), () => {}),
  'a composed stream behind it': (stream) => compose(stream, new PassThrough({ objectMode: true }))
}

for (const [title, way] of Object.entries(WAYS)) {
  for (const side of ['acceptor', 'creator']) {
    test(`messages stay apart through ${title}, at the ${side}`, async (t) => {
      const stream = await filled(t, side)
      const chunks = []
      await within((async () => {
        for await (const chunk of way(stream)) {
          assert.ok(chunk instanceof Uint8Array)
          chunks.push(Buffer.from(chunk).toString())
        }
      })(), 'all messages')
      assert.deepEqual(chunks, WRITES)
    })
  }
}

test('read() gives one message at a time', async (t) => {
  const stream = await filled(t, 'acceptor')
  const chunks = []
  const ended = nextEvent(stream, 'end')
  stream.on('readable', () => {
    for (let chunk; (chunk = stream.read()) !== null;) chunks.push(String(chunk))
  })
  await ended
  assert.deepEqual(chunks, WRITES)
})
