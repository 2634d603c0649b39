'use strict'

// write() false and 'drain', and what a paused reader stops, at a bounded number of bytes.

const test = require('node:test')
const assert = require('node:assert/strict')
const { Readable } = require('node:stream')
const { startServer, connectPair, connectStream, openPair, writeAll } = require('../support/mux.js')
const { nextEvent, settled, within, take, takeBytes, collectBytes, eventually } = require('../support/events.js')
const { connectWire, frame } = require('../support/wire.js')

const MiB = 1024 * 1024

// An old client whose one stream is claimed and paused by the server, pouring 64 MiB into it as far as they go.
async function stalled (t, limit) {
  const server = await startServer(t, limit === undefined ? {} : { readableHighWaterMark: limit })
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port)
  const [con] = await accepted
  const announced = nextEvent(con, 'stream')
  peer.send('0000000a 00 02 6e756c6c')
  const [stream] = await announced
  await peer.expects('0000000a 00 04 6e756c6c')
  stream.pause()
  for (let index = 0; index < 1024; index++) peer.send(frame(0, 0, Buffer.alloc(65536, index)))
  await eventually(() => con.stats().bytesRead >= (limit ?? 262144), 'the limit is reached')
  const taken = await settled(() => con.stats().bytesRead)
  return { con, peer, stream, taken }
}

// Until the pause shows, an end goes on reading what fits between its socket and the application: reads of up to 256 KiB,
// the native queue, and a batch that is being delivered. All of them are bounded, and far below the 64 MiB on offer.
const SLACK = 4 * MiB

for (const limit of [65536, 262144, 2 * MiB]) {
  test(`a paused reader stops the socket near its readableHighWaterMark of ${limit / 1024} KiB, resume delivers all`,
    async (t) => {
      const { con, stream, taken } = await stalled(t, limit)
      assert.ok(taken <= limit + SLACK, `${taken} bytes were read`)
      const bytes = await takeBytes(stream.resume(), 64 * MiB)
      assert.equal(bytes.length, 64 * MiB)
      for (let index = 0; index < 1024; index++) {
        assert.equal(bytes[index * 65536], index % 256)
        assert.equal(bytes[index * 65536 + 65535], index % 256)
      }
      assert.equal(con.stats().discardedBytes, 0)
    })
}

test('the default limit is 256 KiB', async (t) => {
  const { taken } = await stalled(t)
  assert.ok(taken <= 262144 + SLACK, `${taken} bytes were read`)
})

test('a reader that pauses and resumes over and over gets everything', async (t) => {
  const { con, client, creator, acceptor } = await connectStream(t)
  const received = collectBytes(acceptor)
  let next = 0
  acceptor.on('data', (chunk) => {
    next += chunk.length
    if (next % 3 !== 0) return
    acceptor.pause()
    setImmediate(() => acceptor.resume())
  })
  await writeAll(creator, 3000, (index) => Buffer.alloc(1 + (index * 31) % 9000, index))
  creator.end()
  const bytes = await received
  let offset = 0
  for (let index = 0; index < 3000; index++) {
    const size = 1 + (index * 31) % 9000
    assert.equal(bytes[offset], index % 256)
    assert.equal(bytes[offset + size - 1], index % 256)
    offset += size
  }
  assert.equal(bytes.length, offset)
  assert.equal(con.bytesRead, client.connection.bytesWritten)
})

test('a paused stream holds up its neighbours on this wire, and lets them go on resume', async (t) => {
  const { con, peer, stream } = await stalled(t, 65536)
  const announced = nextEvent(con, 'stream', { what: 'the stream behind the stalled one' })
  peer.send('0000000a 01 02 6e756c6c')
  const bytes = takeBytes(stream.resume(), 64 * MiB)
  await announced
  await bytes
})

test('destroying the paused stream lets its neighbours go', async (t) => {
  const { con, peer, stream } = await stalled(t, 65536)
  const announced = nextEvent(con, 'stream')
  peer.send('00000007 01 02 31')
  stream.destroy()
  assert.equal((await announced)[0].meta, 1)
  const { discardedBytes } = con.stats()
  assert.ok(discardedBytes >= 0 && discardedBytes <= 64 * MiB)
})

test('what several paused streams hold counts together', async (t) => {
  const server = await startServer(t, { readableHighWaterMark: MiB })
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port)
  const [con] = await accepted
  const streams = []
  con.on('stream', (stream) => streams.push(stream.pause()))
  for (let id = 0; id < 16; id++) peer.send(frame(id, 2, String(id)))
  await peer.bytes(160)
  for (let index = 0; index < 512; index++) peer.send(frame(index % 16, 0, Buffer.alloc(65536, index % 16)))
  const taken = await settled(() => con.stats().bytesRead)
  assert.ok(taken <= MiB + SLACK, `${taken} bytes were read`)
  const all = await Promise.all(streams.map((stream) => takeBytes(stream.resume(), 2 * MiB)))
  for (const [id, bytes] of all.entries()) assert.ok(bytes.equals(Buffer.alloc(2 * MiB, id)))
})

test('an ended stream nobody resumes does not hold up the connection for ever when it is destroyed', async (t) => {
  const { con, client } = await connectPair(t, { server: { readableHighWaterMark: 65536 } })
  for (let round = 0; round < 20; round++) {
    const { creator, acceptor } = await openPair(client, con)
    acceptor.pause()
    creator.write(Buffer.alloc(100_000))
    creator.end()
    const closed = nextEvent(acceptor, 'close')
    acceptor.destroy()
    await closed
  }
})

test('write returns false at writableHighWaterMark and drain comes when the queue is down', async (t) => {
  const { con, client } = await connectPair(t, { client: { writableHighWaterMark: 100_000 } })
  const { creator, acceptor } = await openPair(client, con)
  acceptor.pause()
  let written = 0
  let more
  do {
    more = creator.write(Buffer.alloc(10_000))
    written += 10_000
  } while (more)
  assert.ok(written >= 100_000 && written <= 200_000, `${written} bytes were written before false`)
  const drained = nextEvent(creator, 'drain')
  acceptor.resume()
  await drained
  assert.ok(client.connection.stats().queuedBytes < 100_000)
})

test('a writer that heeds false never queues much more than writableHighWaterMark, whatever the reader does', async (t) => {
  const { con, client } = await connectPair(t, { client: { writableHighWaterMark: 131072 } })
  const { creator, acceptor } = await openPair(client, con)
  acceptor.pause()
  let written = 0
  let stopped = false
  const writing = (async () => {
    while (!stopped) {
      written += 16384
      if (!creator.write(Buffer.alloc(16384))) {
        const { queuedBytes } = client.connection.stats()
        assert.ok(queuedBytes <= 131072 + 65536, `${queuedBytes} bytes`)
        await new Promise((resolve) => {
          creator.once('drain', resolve)
          creator.once('close', resolve)
        })
      }
    }
  })()
  await settled(() => written)
  stopped = true
  const sum = takeBytes(acceptor.resume(), written)
  await within(writing, 'the writer')
  assert.equal((await sum).length, written)
})

test("'drain' is not emitted while the queue is full, however it came to be worth a look", async (t) => {
  const { con, client } = await connectPair(t)
  const { creator, acceptor } = await openPair(client, con)
  const { connection } = client
  let drains = 0
  const full = []
  creator.on('drain', () => {
    drains++
    if (connection._queue.bytes > connection._queue.lowWater) full.push(connection._queue.bytes)
  })
  let written = 0
  const pump = () => {
    do written += 20_000
    while (creator.write(Buffer.alloc(20_000)) && written < 60e6)
  }
  creator.on('drain', () => { if (written < 60e6) pump() })
  pump()
  await takeBytes(acceptor, 60e6)
  assert.ok(drains > 50)
  assert.deepEqual(full, [])
})

test('every stream that was told false gets its drain', async (t) => {
  const { con, client } = await connectPair(t)
  const pairs = []
  for (let index = 0; index < 8; index++) pairs.push(await openPair(client, con))
  const drains = pairs.map(({ creator, acceptor }) => {
    acceptor.pause()
    while (creator.write(Buffer.alloc(65536)));
    return nextEvent(creator, 'drain')
  })
  for (const { acceptor } of pairs) acceptor.resume()
  await Promise.all(drains)
})

test('drain is not emitted to a stream that was never told false', async (t) => {
  const { con, client } = await connectPair(t)
  const quiet = await openPair(client, con)
  const busy = await openPair(client, con)
  quiet.creator.on('drain', () => assert.fail('a drain without a reason'))
  busy.acceptor.resume()
  const arrived = take(quiet.acceptor, 1)
  quiet.creator.write(Buffer.from('one'))
  for (let round = 0; round < 3; round++) {
    const drained = nextEvent(busy.creator, 'drain')
    while (busy.creator.write(Buffer.alloc(65536)));
    await drained
  }
  await arrived
})

test('both ends writing as much as they can at the same time do not lock each other', async (t) => {
  const { con, client } = await connectPair(t)
  const up = await openPair(client, con)
  const down = await openPair(con, client)
  const both = Promise.all([collectBytes(up.acceptor), collectBytes(down.acceptor)])
  await Promise.all([up.creator, down.creator].map(async (creator) => {
    await writeAll(creator, 512, () => Buffer.alloc(65536))
    creator.end()
  }))
  for (const bytes of await both) assert.equal(bytes.length, 32 * MiB)
})

test('a connection paused by pause() takes a bounded number of bytes and delivers all after resume()', async (t) => {
  const { con, client } = await connectPair(t)
  const { creator, acceptor } = await openPair(client, con)
  const received = collectBytes(acceptor)
  con.pause()
  const writing = writeAll(creator, 512, () => Buffer.alloc(65536))
  const taken = await settled(() => con.stats().bytesRead)
  assert.ok(taken <= 2 * MiB, `${taken} bytes were read`)
  con.resume()
  await writing
  creator.end()
  assert.equal((await received).length, 32 * MiB)
  await eventually(() => client.connection.stats().queuedBytes === 0, 'the queue is empty')
})

test('a source piped into a stream that is full already waits for its drain', async (t) => {
  const { con, client } = await connectPair(t)
  const { creator, acceptor } = await openPair(client, con)
  acceptor.pause()
  let written = 0
  do written += 65536; while (creator.write(Buffer.alloc(65536)))
  assert.equal(creator.writableNeedDrain, true)
  let read = 0
  const source = Readable.from((function * () {
    for (; read < 1000; read++) yield Buffer.alloc(65536)
  })())
  source.pipe(creator)
  const atRest = await settled(() => read)
  // What the sockets' own buffers take is some MiB; the source has 64 of them.
  assert.ok(atRest < 400, `the source gave ${atRest} chunks to a full stream`)
  assert.equal((await takeBytes(acceptor.resume(), written + 1000 * 65536)).length, written + 1000 * 65536)
})
