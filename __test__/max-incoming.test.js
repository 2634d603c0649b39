'use strict'

// maxIncomingStreams of a server on 'auto', for a client that opens more before it can know the limit.

const test = require('node:test')
const assert = require('node:assert/strict')
const { openClient, startServer } = require('./support/mux.js')
const { eventually, within } = require('./support/events.js')

test('streams opened at once are served a few at a time, in order, and none is lost', async (t) => {
  const server = await startServer(t, { protocol: 'auto', maxIncomingStreams: 3 })
  const order = []
  let live = 0
  let most = 0
  server.on('connection', (con) => con.on('stream', (stream) => {
    most = Math.max(most, ++live)
    order.push(stream.meta)
    stream.resume()
    stream.on('close', () => live--)
  }))
  const client = await openClient(t, server, { protocol: 'auto', maxStreams: 1000 })
  const opened = Array.from({ length: 400 }, (_, n) => client.StreamPool.createStream(n))
  for (const one of opened) one.then((stream) => stream.end())
  await within(Promise.all(opened), 'all to be served')
  await eventually(() => live === 0, 'all to close')
  assert.equal(client.connection.protocol, 'qmux')
  assert.equal(most, 3)
  assert.deepEqual(order, Array.from({ length: 400 }, (_, n) => n))
})

test('a stream that is given up while it waits, and a connection that ends, leave nothing behind', async (t) => {
  const server = await startServer(t, { protocol: 'auto', maxIncomingStreams: 1 })
  const seen = []
  let first
  server.on('connection', (con) => con.on('stream', (stream) => {
    seen.push(stream.meta)
    first ??= stream
    stream.on('error', () => {}).resume()
  }))
  const client = await openClient(t, server, { protocol: 'auto' })
  const abort = new AbortController()
  const one = client.StreamPool.createStream('first')
  const given = client.StreamPool.createStream('given up', { signal: abort.signal })
  const third = client.StreamPool.createStream('third')
  const last = client.StreamPool.createStream('last')
  const stream = await one
  abort.abort()
  await assert.rejects(given, { name: 'AbortError' })
  stream.end()
  const next = await within(third, 'the third')
  assert.deepEqual(seen.filter((meta) => meta !== 'given up'), ['first', 'third'])
  client.destroy()
  await assert.rejects(last, { code: 'ERR_MUX_CONNECTION_CLOSED' })
  assert.ok(first !== undefined && next !== undefined)
  assert.ok(!seen.includes('last'))
})
