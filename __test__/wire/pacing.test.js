'use strict'

// What an old receiver cannot bear, and must not be sent: a header that straddles one of its reads. The receiver here
// runs in a process of its own and throws on one, as 0.1.0 did (COMPAT.md, last part).

const test = require('node:test')
const assert = require('node:assert/strict')
const { MuxClient, watchClient, startServer, connectPair, openPair, writeAll } = require('../support/mux.js')
const { nextEvent, within } = require('../support/events.js')
const { frame, hex } = require('../support/wire.js')
const { strictReceiver } = require('../support/strict-receiver.js')
const { run } = require('../support/child.js')

// A receiver that the scheduler keeps from reading for some milliseconds finds several sends in one read, and may die of
// any sender: no pacing can rule it out (COMPAT.md). So a scenario has three attempts. Without pacing the receiver dies of
// every one of them, which `{ peer: 'new' }` shows.
const ATTEMPTS = 3

// Runs `scenario` with a client of ours on a strict old server, which reports when `streams` streams have ended.
async function outlives (t, { streams = 1, options = {} }, scenario) {
  for (let attempt = 1; ; attempt++) {
    const child = run(t, 'strict-peer.js', ['server', streams])
    const client = new MuxClient({ port: Number(await child.line()), host: '127.0.0.1', ...options })
    client.on('error', () => {}) // it loses its server when that dies
    await watchClient(t, client)
    const died = await finishes(child, () => scenario(client))
    if (died === undefined) return child.report()
    t.diagnostic(`attempt ${attempt}: ${died}`)
    if (attempt === ATTEMPTS) throw new Error(died)
  }
}

// Resolves with what the receiver died of, or undefined when it has lived to its report.
async function finishes (child, scenario) {
  const failure = await Promise.resolve(scenario()).then(() => undefined, (error) => error)
  const { code, stderr } = await child.exit(60_000)
  if (code === 0 && failure === undefined) return undefined
  const [reason] = stderr.match(/RangeError: .*/) ?? []
  if (reason === undefined) throw failure ?? new Error(stderr)
  return reason
}

test('the strict receiver is strict: it throws on a split header and takes everything else', () => {
  const seen = []
  const read = strictReceiver((id, type, length) => seen.push([id, type, length]))
  const bytes = Buffer.concat([frame(1, 2, 'null'), frame(1, 0, Buffer.alloc(100))])
  read(bytes.subarray(0, 50)) // cut inside a payload
  read(bytes.subarray(50))
  assert.deepEqual(seen, [[1, 2, 4], [1, 0, 100]])
  assert.throws(() => read(hex('0000000a 00')), /straddles/)
  assert.throws(() => strictReceiver(() => {})(Buffer.concat(Array(8001).fill(hex('00000006 00 00')))), /empty/)
})

const MESSAGE = Buffer.alloc(64, 1)

async function sendMessages (client, count) {
  const stream = await within(client.StreamPool.createStream('many'), 'the stream')
  await writeAll(stream, count, () => MESSAGE)
  stream.end()
}

test('a strict old server survives 1,000,000 messages of 64 bytes of our client', { timeout: 120_000 }, async (t) => {
  const { frames, bytes } = await outlives(t, {}, (client) => sendMessages(client, 1_000_000))
  assert.deepEqual({ frames, bytes }, { frames: 1_000_000, bytes: 64_000_000 })
})

test('the same receiver dies when the client takes it for new', { timeout: 120_000 }, async (t) => {
  await assert.rejects(outlives(t, { options: { peer: 'new' } }, (client) => sendMessages(client, 1_000_000)), /straddles/)
})

test('a strict old client survives 200,000 messages of our server', { timeout: 120_000 }, async (t) => {
  const server = await startServer(t)
  for (let attempt = 1; ; attempt++) {
    const accepted = nextEvent(server, 'connection')
    const child = run(t, 'strict-peer.js', ['client', 1, server.address().port])
    const [con] = await accepted
    const died = await finishes(child, () => sendMessages(con, 200_000))
    if (died === undefined) {
      const { frames, bytes } = await child.report()
      assert.deepEqual({ frames, bytes }, { frames: 200_000, bytes: 12_800_000 })
      return
    }
    t.diagnostic(`attempt ${attempt}: ${died}`)
    assert.ok(attempt < ATTEMPTS, died)
  }
})

test('a strict old server survives messages of every size, written without regard to backpressure', async (t) => {
  const report = await outlives(t, {}, async (client) => {
    const stream = await client.StreamPool.createStream('sizes')
    for (let size = 0; size < 5000; size++) stream.write(Buffer.alloc(size))
    stream.end()
  })
  assert.deepEqual([report.frames, report.bytes], [5000, 4999 * 2500])
})

test('a strict old server survives 100,000 empty messages', async (t) => {
  const nothing = Buffer.alloc(0)
  const report = await outlives(t, {}, async (client) => {
    const stream = await client.StreamPool.createStream('empty')
    await writeAll(stream, 100_000, () => nothing)
    stream.end()
  })
  assert.deepEqual([report.frames, report.bytes], [100_000, 0])
})

test('a strict old server survives many streams that write small and large by turns', async (t) => {
  let sum
  const report = await outlives(t, { streams: 20 }, async (client) => {
    sum = 0
    const streams = await Promise.all(Array.from({ length: 20 }, (_, index) => client.StreamPool.createStream(index)))
    await Promise.all(streams.map((stream, index) => writeAll(stream, 500, (count) => {
      const size = (count * 37 + index * 101) % 3000
      sum += size
      return Buffer.alloc(size)
    })))
    for (const stream of streams) stream.end({ done: true })
  })
  assert.deepEqual([report.frames, report.bytes], [10_000, sum])
})

test('a strict old server survives writes of 10 MB between small ones', async (t) => {
  const report = await outlives(t, {}, async (client) => {
    const stream = await client.StreamPool.createStream('bulk')
    for (let round = 0; round < 3; round++) {
      for (let count = 0; count < 100; count++) stream.write(Buffer.from('small'))
      await writeAll(stream, 1, () => Buffer.alloc(10_000_000))
    }
    stream.end()
  })
  assert.equal(report.bytes, 3 * (500 + 10_000_000))
})

test("{ peer: 'new' } between two of ours loses nothing", async (t) => {
  const { con, client } = await connectPair(t, { client: { peer: 'new' }, server: { peer: 'new' } })
  const { creator, acceptor } = await openPair(client, con)
  let count = 0
  const ended = nextEvent(acceptor, 'end')
  acceptor.on('data', (chunk) => {
    assert.equal(chunk.length, 64)
    count++
  })
  await writeAll(creator, 200_000, () => MESSAGE)
  creator.end()
  await ended
  assert.equal(count, 200_000)
})
