'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const { writeAll } = require('../support/mux.js')
const { within, nextEvent } = require('../support/events.js')
const { connectPeer, everywhere, echo } = require('./peer.js')
const { Pattern } = require('./pattern.js')

const fixed = (stream, connection) => ({
  streamWindow: stream,
  maxStreamWindow: stream,
  connectionWindow: connection,
  maxConnectionWindow: connection
})

const SMALL = 16_384
// Less than two streams' windows: the connection's own is the tighter one as soon as there are two.
const SMALL_CONNECTION = 24_576
// Not so at the other end: two of its kind, both that tight, come to hang on each other.
const THEIR_CONNECTION = 2 * SMALL
const BULK = 20_000_000

// Reads `stream` to its end and tells how many bytes came, if they are the pattern of seed 0.
async function count (stream) {
  const pattern = new Pattern()
  let size = 0
  for await (const chunk of stream) {
    if (!pattern.isNext(chunk)) throw new Error(`a chunk of ${chunk.length} bytes after ${size} is not what was sent`)
    size += chunk.length
  }
  return size
}

everywhere(test, '20 MB each way, both at once, go through windows of 16 KiB', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement, {
    ours: fixed(SMALL, SMALL_CONNECTION),
    theirs: { window: SMALL, 'connection-window': THEIR_CONNECTION }
  })
  echo(con)
  const theirs = peer.ask(`exchange 1 ${BULK}`, { ms: 120_000 })
  const stream = await con.StreamPool.createStream(null)
  const size = count(stream)
  const pattern = new Pattern()
  await writeAll(stream, BULK / 50_000, () => pattern.take(50_000))
  stream.end()
  assert.equal(await within(size, 'our bytes to come back', 120_000), BULK)
  assert.deepEqual(await theirs, { event: 'exchange', streams: 1, intact: 1, failure: '' })
})

everywhere(test, '20 MB go through the windows there are by default', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement)
  echo(con)
  const { intact } = await peer.ask(`exchange 4 ${BULK / 4}`, { ms: 120_000 })
  assert.equal(intact, 4)
})

everywhere(test, 'a stream that we do not read stops its sender, and nobody else', async (t, arrangement) => {
  const window = 65_536
  const { peer, con } = await connectPeer(t, arrangement, { ours: fixed(window, 4 * window) })
  const accepted = nextEvent(con, 'stream')
  peer.command('send 1000000')
  const [unread] = await accepted
  echo(con)
  const { bytes } = await peer.event('stalled')
  // What the stream has buffered up to its highWaterMark may count as read.
  assert.ok(bytes >= window - 1024 && bytes <= 2 * window, `${bytes} bytes`)
  assert.equal((await peer.ask('exchange 10 200000')).intact, 10)
  assert.equal(await within(count(unread), 'what was held back'), 1_000_000)
  assert.equal((await peer.event('send')).bytes, 1_000_000)
})

everywhere(test, 'a stream that it does not read stops us at its window, and nobody else', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement, { theirs: { accept: 'hold', window: 8192 } })
  echo(con)
  const stream = await con.StreamPool.createStream(null)
  const pattern = new Pattern()
  let blocked = 0
  stream.on('drain', () => { if (blocked === 1) blocked = 2 })
  // Far beyond its window and ours together: write() must say so sooner or later, and not take it back before `go`.
  const size = 1_000_000
  stream.write(pattern.take(size))
  assert.equal((await peer.ask('exchange 10 200000')).intact, 10)
  blocked = 1
  assert.equal(stream.write(Buffer.alloc(0)), false)
  assert.equal((await peer.ask('exchange 1 1000')).intact, 1)
  assert.equal(blocked, 1, "no 'drain' while it does not read")
  const drained = nextEvent(stream, 'drain')
  peer.command('go')
  await drained
  stream.end()
  const { bytes, intact, end } = await peer.event('read')
  assert.deepEqual({ bytes, intact, end }, { bytes: size, intact: true, end: 'fin' })
})

everywhere(test, 'records of ours keep to the size it allows when that is a larger one', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement, { theirs: { record: 65_536, window: 1_000_000 } })
  const stream = await con.StreamPool.createStream(null)
  const size = count(stream)
  stream.end(new Pattern().take(1_000_000))
  assert.equal(await within(size, 'our bytes to come back'), 1_000_000)
  assert.equal((await peer.event('read')).intact, true)
})
