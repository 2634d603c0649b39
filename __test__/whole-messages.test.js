'use strict'

// One write of up to 64 KiB is one 'data', on both wires, however its bytes arrive and whoever writes beside it.

const test = require('node:test')
const assert = require('node:assert/strict')
const { connectPair, openPair, startServer } = require('./support/mux.js')
const { connectWire, frame } = require('./support/wire.js')
const { eventually, nextEvent } = require('./support/events.js')
const { frames: f, record, siege, up } = require('./support/qmux-wire.js')

const KIB = 1024
const LONGEST = 64 * KIB

// Bytes that tell where they stand.
function pattern (length, seed) {
  const bytes = Buffer.alloc(length)
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + seed * 7 + (i >> 8)) & 255
  return bytes
}

for (const protocol of ['auto', 'qmux', 'legacy']) {
  test(`each write is one chunk (${protocol})`, async (t) => {
    const { client, con } = await connectPair(t, { server: { protocol }, client: { protocol } })
    const { creator, acceptor } = await openPair(client, con)
    const sizes = []
    for (const size of [LONGEST, 1, LONGEST - 1, 16 * KIB + 1, 40_000, 0, LONGEST]) {
      for (let n = 0; n < 30; n++) sizes.push(size + (size > 20_000 && size < 50_000 ? n * 100 : 0))
    }
    const seen = []
    let wrong = 0
    acceptor.on('data', (chunk) => {
      if (!chunk.equals(pattern(chunk.length, seen.length))) wrong++
      seen.push(chunk.length)
    })
    for (const [n, size] of sizes.entries()) {
      if (!creator.write(pattern(size, n))) await nextEvent(creator, 'drain')
    }
    await eventually(() => seen.length >= sizes.length, 'all of it')
    assert.deepEqual(seen, sizes)
    assert.equal(wrong, 0)
  })
}

test('streams that write at once keep each of their writes whole', async (t) => {
  const { client, con } = await connectPair(t, { server: { protocol: 'qmux' }, client: { protocol: 'qmux' } })
  const pairs = []
  for (let n = 0; n < 5; n++) pairs.push(await openPair(client, con, n))
  const seen = pairs.map(() => [])
  for (const [n, { acceptor }] of pairs.entries()) acceptor.on('data', (chunk) => seen[n].push(chunk.length))
  for (let round = 0; round < 20; round++) for (const { creator } of pairs) creator.write(pattern(LONGEST, round))
  await eventually(() => seen.every((sizes) => sizes.length >= 20), 'all of it')
  assert.deepEqual(seen, pairs.map(() => Array(20).fill(LONGEST)))
})

test('a message that comes in pieces is one chunk when the last has come, a longer one comes as it does', async (t) => {
  const server = await startServer(t, { protocol: 'legacy' })
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port)
  const [con] = await accepted
  const announced = nextEvent(con, 'stream')
  peer.send(frame(0, 2, 'null'))
  const [stream] = await announced
  const seen = []
  stream.on('data', (chunk) => seen.push(chunk))
  const long = frame(0, 0, pattern(LONGEST, 0))
  for (let at = 0; at < long.length; at += 1448) {
    assert.equal(seen.length, 0)
    peer.send(long.subarray(at, at + 1448))
    await eventually(() => con.bytesRead >= Math.min(at + 1448, long.length) + 10, 'it to be read')
  }
  await eventually(() => seen.length > 0, 'the message')
  assert.ok(seen.length === 1 && seen[0].equals(pattern(LONGEST, 0)))
  peer.send(frame(0, 0, pattern(LONGEST + 1, 0)).subarray(0, 5000))
  await eventually(() => seen.length > 1, 'a part of a longer one')
  assert.equal(seen[1].length, 5000 - 6)
})

test('a part of a message whose connection breaks is delivered, and one that nobody wants any more is not', async (t) => {
  const { open } = await siege(t)
  const seen = []
  const streams = []
  const { peer, con, wire, closed } = await open({
    prepare: (con) => con.on('stream', (stream) => {
      streams.push(stream)
      stream.on('error', () => {}).on('data', (chunk) => seen.push([stream.meta, chunk.length]))
    })
  })
  peer.send(f.open(up(0), '"a"'), f.open(up(1), '"b"'))
  await eventually(() => streams.length === 2, 'the streams')
  const message = record(f.message(up(0), pattern(40_000, 0)))
  const before = con.bytesRead
  wire.send(message.subarray(0, 10_000))
  await eventually(() => con.bytesRead === before + 10_000, 'it to be read')
  streams[0].stopSending(5)
  await peer.next('stop')
  wire.send(message.subarray(10_000))
  await peer.roundTrip(1)
  peer.send(f.message(up(1), 'x'))
  wire.send(record(f.message(up(1), pattern(40_000, 0))).subarray(0, 10))
  wire.send(Buffer.alloc(100))
  await eventually(() => con.bytesRead >= before + message.length + 110 && seen.length > 0, 'it to be read')
  assert.deepEqual(seen, [['b', 1]])
  peer.wire.finish()
  await closed
  assert.deepEqual(seen, [['b', 1], ['b', 100]])
})
