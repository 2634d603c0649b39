'use strict'

// Clients killed in the middle of anything. There is no 'error' listener anywhere on the server's side: one that were
// needed would end this process, and with it the test.

const test = require('node:test')
const assert = require('node:assert/strict')
const { MuxServer, MuxClient, watchClient, startServer, openClient } = require('../support/mux.js')
const { nextEvent, within, eventually, pause } = require('../support/events.js')
const { run } = require('../support/child.js')

// A server that does with every connection what an application may do: read, answer, open, write a lot, ignore.
async function busyServer (t) {
  const server = await startServer(t)
  let connections = 0
  let index = 0
  server.on('connection', (con) => {
    connections++
    con.on('close', () => connections--)
    con.on('stream', (stream) => {
      const kind = index++ % 5
      if (kind === 0) stream.on('data', () => {})
      if (kind === 1) stream.pause()
      if (kind === 2) return
      if (kind === 3) stream.on('end', () => {})
      if (kind === 4) (async () => { for await (const chunk of stream) void chunk })().catch(() => {})
      con.StreamPool.createStream({ answer: stream.meta }, (back) => {
        for (let count = 0; count < 20; count++) back.write(Buffer.alloc(50_000))
        if (kind === 3) back.end('done')
      })
    })
    con.StreamPool.createStream({ greeting: true }, (stream) => {
      const flood = () => {
        while (!stream.destroyed && stream.write(Buffer.alloc(16_384)));
        if (!stream.destroyed) stream.once('drain', flood)
      }
      flood()
    })
  })
  return { server, count: () => connections }
}

async function serves (t, server) {
  const accepted = nextEvent(server, 'connection')
  const client = await openClient(t, server)
  const [con] = await accepted
  const announced = nextEvent(con, 'stream')
  const stream = await within(client.StreamPool.createStream('is anybody there'), 'the acknowledgement')
  const [other] = await announced
  const arrived = nextEvent(other.resume(), 'end')
  stream.end(Buffer.from('yes'))
  await arrived
  client.destroy()
}

test('the server survives thirty clients killed in the middle of anything', { timeout: 120_000 }, async (t) => {
  const { server, count } = await busyServer(t)
  for (let round = 0; round < 30; round++) {
    const child = run(t, 'chaos-client.js', [server.address().port, round])
    await child.line() // it is connected
    await pause(round * 3) // and goes on for a moment, a longer one each time
    child.process.kill('SIGKILL')
    await child.exit()
  }
  await eventually(() => count() === 0, 'all connections of the killed have closed')
  await serves(t, server)
})

test('the server survives a client killed while both ends are blocked with full queues', async (t) => {
  const server = await startServer(t)
  const accepted = nextEvent(server, 'connection')
  const child = run(t, 'chaos-client.js', [server.address().port, 'blocked'])
  const [con] = await accepted
  con.on('stream', (stream) => stream.pause())
  const stream = await within(con.StreamPool.createStream('full'), 'the stream')
  // More than the client's memory takes: it dies with bytes unread, and its system resets the connection. A mere FIN
  // would wait behind the data of the paused stream, as it does in net.
  for (let i = 0; i < 256; i++) stream.write(Buffer.alloc(65536))
  assert.equal(await child.line(), 'blocked')
  const closed = Promise.all([nextEvent(con, 'close'), nextEvent(stream, 'close')])
  child.process.kill('SIGKILL')
  await child.exit()
  await closed
  assert.equal(con.destroyed, true)
  await serves(t, server)
})

test('a server killed in the middle is an error and a close for its clients', async (t) => {
  const child = run(t, 'server.js', ['echo'])
  const port = Number(await child.line())
  const client = await watchClient(t, new MuxClient(port, '127.0.0.1'))
  const closed = nextEvent(client, 'close')
  let errors = 0
  client.on('error', () => errors++)
  const echoed = nextEvent(client, 'stream')
  const stream = await client.StreamPool.createStream('echo')
  const streamClosed = nextEvent(stream, 'close')
  const [back] = await echoed
  const send = () => {
    while (!stream.destroyed && stream.write(Buffer.alloc(10_000)));
    if (!stream.destroyed) stream.once('drain', send)
  }
  send()
  await nextEvent(back, 'data')
  child.process.kill('SIGKILL')
  const [hadError] = await closed
  await streamClosed
  assert.equal(hadError, errors === 1)
})

test('500 clients that come and are destroyed while connecting, opening or writing leave nothing open', async (t) => {
  const { server, count } = await busyServer(t)
  for (let round = 0; round < 500; round++) {
    const client = new MuxClient(server.address().port, '127.0.0.1')
    client.on('error', () => {})
    const closed = nextEvent(client, 'close')
    const kind = round % 5
    if (kind === 0) client.destroy()
    if (kind === 1) client.on('connect', () => client.destroy())
    if (kind === 2) client.StreamPool.createStream(round, () => client.destroy())
    if (kind === 3) {
      client.StreamPool.createStream(round, (stream) => {
        stream.write(Buffer.alloc(100_000))
        client.destroy()
      })
    }
    if (kind === 4) {
      client.on('stream', (stream) => stream.once('data', () => {
        client.end()
        setTimeout(() => client.destroy(), 20)
      }))
    }
    await closed
  }
  await eventually(() => count() === 0, 'all connections have closed')
  await serves(t, server)
})

test('a server destroyed connection by connection while clients write stays usable', async (t) => {
  const server = await startServer(t)
  server.on('connection', (con) => con.on('stream', (stream) => stream.once('data', () => con.destroy())))
  for (let round = 0; round < 50; round++) {
    const client = new MuxClient(server.address().port, '127.0.0.1')
    client.on('error', () => {})
    const closed = nextEvent(client, 'close')
    client.StreamPool.createStream(round, (stream) => {
      for (let count = 0; count < 100; count++) stream.write(Buffer.alloc(10_000))
    })
    await closed
  }
  const other = new MuxServer({ port: 0, host: '127.0.0.1' })
  await nextEvent(other, 'listening')
  await within(new Promise((resolve) => other.close(resolve)), 'another server to close')
})
