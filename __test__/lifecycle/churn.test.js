'use strict'

// Streams and connections that come and go by the thousand, and what they leave behind: nothing.

const test = require('node:test')
const assert = require('node:assert/strict')
const { MuxServer, MuxClient, startServer, connectPair } = require('../support/mux.js')
const { nextEvent, within, eventually } = require('../support/events.js')
const { run } = require('../support/child.js')

test('10,000 streams opened and ended leave no listener, no place and no id behind', async (t) => {
  const { con, client } = await connectPair(t)
  let ends = 0
  con.on('stream', (stream) => stream.on('data', () => {}).on('end', () => ends++))
  let opened = 0
  await within(Promise.all(Array.from({ length: 64 }, async () => {
    while (opened < 10_000) {
      const stream = await client.StreamPool.createStream(++opened)
      stream.end(Buffer.from('x'))
    }
  })), '10,000 streams')
  await eventually(() => ends === opened && con.stats().streamsLive === 0, 'all have ended')
  assert.equal(con.stats().streamsAccepted, opened)
  assert.equal(client.connection.stats().streamsOpened, opened)
  for (const emitter of [con, client, client.connection]) {
    for (const name of emitter.eventNames()) assert.ok(emitter.listenerCount(name) < 5, String(name))
  }
  // All 256 places are free.
  const all = await within(Promise.all(Array.from({ length: 256 }, () => client.StreamPool.createStream('again'))), 'all')
  assert.equal(new Set(all.map(({ id }) => id)).size, 256)
})

test('100,000 streams and 1,000 connections: resident memory returns to within 20 MiB', { timeout: 180_000 }, async (t) => {
  const child = run(t, 'churn.js', ['100000', '1000'], { execArgv: ['--expose-gc'] })
  const report = await within(child.report(), 'the report', 170_000)
  assert.equal((await child.exit()).code, 0)
  assert.equal(report.live, 0)
  assert.ok(report.streams < 20, `100,000 streams left ${report.streams} MiB`)
  assert.ok(report.connections < 20, `1,000 connections left ${report.connections} MiB`)
})

test('servers started and closed by the hundred leave their ports free', async () => {
  let port = 0
  for (let round = 0; round < 200; round++) {
    const server = new MuxServer({ port, host: '127.0.0.1' })
    await nextEvent(server, 'listening')
    port = server.address().port
    await within(new Promise((resolve) => server.close(resolve)), 'the server to close')
  }
})

test('while one client closes and reconnects in a loop, no byte of another goes astray', { timeout: 60_000 }, async (t) => {
  // Two servers, each of which may only ever hear its own letter. The socket numbers are reused all the time.
  const wrong = []
  const heard = { a: 0, b: 0 }
  const listenFor = (letter) => startServer(t).then((server) => {
    server.on('connection', (con) => con.on('stream', (stream) => {
      if (stream.meta !== letter) wrong.push(`stream ${stream.meta} at ${letter}`)
      stream.on('data', (chunk) => {
        heard[letter] += chunk.length
        const other = chunk.findIndex((byte) => byte !== letter.charCodeAt(0))
        if (other >= 0) wrong.push(`byte ${chunk[other]} at ${letter}`)
      })
    }))
    server.on('connectionError', (error) => {
      // A connection destroyed with data on the way may be reset. What may not be is a frame that makes no sense.
      if (error.code !== 'ECONNRESET' && error.code !== 'ERR_MUX_FRAME_TRUNCATED') wrong.push(error.code)
    })
    return server
  })
  const [a, b] = await Promise.all([listenFor('a'), listenFor('b')])
  // In a thread of its own: connects, writes, destroys, connects again, 1,000 times.
  const child = run(t, 'reconnect.js', [a.address().port, b.address().port, 1000])
  const { rounds, sent } = await within(child.report(), 'the report', 50_000)
  assert.equal((await child.exit()).code, 0)
  assert.equal(rounds, 1000)
  await eventually(() => heard.b === sent, 'all of the steady sender has arrived')
  assert.deepEqual(wrong, [])
  assert.ok(heard.a > 0)
})

test('a client that reconnects on close gets all its connections', async (t) => {
  const server = await startServer(t)
  server.on('connection', (con) => con.on('stream', (stream) => con.end()))
  let rounds = 0
  await within(new Promise((resolve) => {
    (function connect () {
      const client = new MuxClient(server.address().port, '127.0.0.1')
      client.on('error', assert.fail)
      client.StreamPool.createStream(rounds, () => {})
      client.on('close', () => ++rounds === 300 ? resolve() : connect())
    })()
  }), '300 connections')
})
