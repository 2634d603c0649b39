'use strict'

// The three test programs of version 0.1.0, ported: stream overflow, wire overhead, leakage.

const test = require('node:test')
const assert = require('node:assert/strict')
const { BOTH_LEGACY, startServer, connectPair, openClient } = require('../support/mux.js')
const { nextEvent, events, take, within } = require('../support/events.js')
const { run } = require('../support/child.js')

test('stream overflow: the 257th createStream ends its process, and the server lives on', async (t) => {
  const server = await startServer(t)
  const accepted = nextEvent(server, 'connection')
  const child = run(t, 'stream-overflow.js', [server.address().port])
  const [con] = await accepted
  const closed = nextEvent(con, 'close')
  const streams = events(con, 'stream', 256)
  assert.equal((await streams).length, 256)
  const { code, stdout, stderr } = await child.exit()
  assert.notEqual(code, 0)
  assert.match(stderr, /Error: Maximum of Streams per Connection is reached \(255\)/)
  assert.equal(stdout.trim().split('\n').at(-1), 'opening 257')
  await closed
  // The server goes on with the next client.
  const next = nextEvent(server, 'connection')
  const client = await openClient(t, server)
  const [nextConnection] = await next
  const announced = nextEvent(nextConnection, 'stream')
  await client.StreamPool.createStream('still here')
  assert.equal((await announced)[0].meta, 'still here')
})

// @returns bytes on the wire of 5,000 messages of 21 bytes, the opening included
async function overhead (t, options) {
  const { con, client } = await connectPair(t, options)
  const announced = nextEvent(client, 'stream')
  con.StreamPool.createStream({ type: 'update', file: 'xy.js' }, async (stream) => {
    for (let count = 0; count < 5000; count++) {
      if (!stream.write(Buffer.from('some bytes of content'))) await nextEvent(stream, 'drain')
    }
  })
  const [stream] = await announced
  const chunks = await take(stream, 5000)
  assert.equal(chunks.reduce((sum, { length }) => sum + length, 0), 5000 * 21)
  return client.connection.bytesRead
}

test('wire overhead: 21-byte writes cost at most 1.29 bytes on the wire per byte, the opening included', async (t) => {
  // open 6 + 32 of meta, and 6 + 21 for each write
  assert.equal(await overhead(t, BOTH_LEGACY), 38 + 5000 * 27)
  assert.ok(38 + 5000 * 27 <= 1.29 * 5000 * 21)
})

test('on QMux they cost at most 3.1 bytes each beyond their own', async (t) => {
  assert.ok(await overhead(t, { client: { protocol: 'auto' }, server: { protocol: 'auto' } }) <= 5000 * (21 + 3.1))
})

test('leakage: memory stays flat over two million messages', { timeout: 120_000 }, async (t) => {
  const child = run(t, 'leakage.js', ['2000000'], { execArgv: ['--expose-gc'] })
  const { heap, resident, messages } = await within(child.report(), 'the report', 110_000)
  assert.equal(messages, 2_000_000)
  assert.equal((await child.exit()).code, 0)
  const MiB = 1024 * 1024
  // Ten samples, each after a collection: the last may not stand above the third by more than noise.
  assert.equal(heap.length, 10)
  assert.ok(heap[9] - heap[2] < 3 * MiB, `the heap grew: ${heap.map((size) => (size / MiB).toFixed(1))}`)
  assert.ok(resident[9] - resident[2] < 40 * MiB, `the process grew: ${resident.map((size) => (size / MiB).toFixed(1))}`)
})
