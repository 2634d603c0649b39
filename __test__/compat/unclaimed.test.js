'use strict'

// COMPAT.md, "a stream nobody reads": what happens to data that nobody has asked for yet, or ever does.

const test = require('node:test')
const assert = require('node:assert/strict')
const { Writable } = require('node:stream')
const {
  BOTH_LEGACY, LEGACY, connectPair, connectStream, openPair, startServer, writeAll
} = require('../support/mux.js')
const { nextEvent, within, collect, collectBytes, takeBytes, turn, eventually, settled } = require('../support/events.js')
const { connectWire, frame } = require('../support/wire.js')
const { run } = require('../support/child.js')

const MiB = 1024 * 1024

// Everything written on the connection before this has come to the other end once the stream opened here is announced.
async function overtake (from, to) {
  await openPair(from, to, 'a marker')
}

test('a listener may come late: unclaimed data waits for it', async (t) => {
  const { con, client, creator, acceptor } = await connectStream(t)
  creator.write(Buffer.from('one'))
  creator.write('two')
  await overtake(client, con)
  await turn()
  const all = collect(acceptor)
  creator.end()
  assert.deepEqual((await all).chunks.map(String), ['one', '"two"'])
})

const CLAIMS = {
  "'data'": (stream) => collectBytes(stream),
  "'readable' and read()": (stream) => within(new Promise((resolve) => {
    const chunks = []
    stream.on('readable', () => {
      for (let chunk = stream.read(); chunk !== null; chunk = stream.read()) chunks.push(chunk)
    })
    stream.on('end', () => resolve(Buffer.concat(chunks)))
  }), 'the end'),
  pipe: (stream) => within(new Promise((resolve) => {
    const chunks = []
    stream.pipe(new Writable({
      write (chunk, encoding, done) {
        chunks.push(chunk)
        setImmediate(done)
      },
      final (done) {
        resolve(Buffer.concat(chunks))
        done()
      }
    }))
  }), 'the end'),
  'for await': async (stream) => {
    const chunks = []
    for await (const chunk of stream) chunks.push(chunk)
    return Buffer.concat(chunks)
  },
  'pause() and resume()': async (stream, drained) => {
    stream.pause()
    await drained
    return collectBytes(stream.resume())
  }
}

for (const [form, claim] of Object.entries(CLAIMS)) {
  test(`${form} claims a stream: far more than unclaimedLimit then arrives whole`, async (t) => {
    const { con, creator, acceptor } = await connectStream(t)
    const received = claim(acceptor, nextEvent(creator, 'drain'))
    await writeAll(creator, 64, (index) => Buffer.alloc(65536, index))
    creator.end()
    const bytes = await within(received, 'four MiB')
    assert.equal(bytes.length, 4 * MiB)
    for (let index = 0; index < 64; index++) assert.equal(bytes[index * 65536], index)
    assert.equal(con.stats().discardedBytes, 0)
  })
}

test('up to unclaimedLimit is kept, and more discards the whole stream and counts it', async (t) => {
  // Ten chunks of 1,000 bytes, and 128 for each.
  const { con, client } = await connectPair(t, { server: { ...LEGACY, unclaimedLimit: 11_280 } })
  const kept = await openPair(client, con)
  const dropped = await openPair(client, con)
  for (let index = 0; index < 10; index++) kept.creator.write(Buffer.alloc(1000, 1))
  for (let index = 0; index < 11; index++) dropped.creator.write(Buffer.alloc(1000, 2))
  await overtake(client, con)
  assert.equal(con.stats().discardedStreams, 1)
  assert.equal(con.stats().discardedBytes, 11_000)
  const all = [collectBytes(kept.acceptor), collectBytes(dropped.acceptor)]
  dropped.creator.write(Buffer.from('later bytes of a discarded stream'))
  kept.creator.end()
  dropped.creator.end()
  const [bytes, none] = await Promise.all(all)
  assert.equal(bytes.length, 10_000)
  assert.equal(none.length, 0)
})

test('62 MiB into a stream nobody reads neither stop the socket nor a second stream', async (t) => {
  const { con, client, creator, acceptor } = await connectStream(t, BOTH_LEGACY)
  await writeAll(creator, 62 * 16, () => Buffer.alloc(65536))
  const second = await openPair(client, con, 'second')
  assert.equal(second.acceptor.meta, 'second')
  const arrived = nextEvent(second.acceptor, 'data')
  second.creator.write(Buffer.from('goes on'))
  assert.equal(String((await arrived)[0]), 'goes on')
  assert.equal(con.stats().discardedStreams, 1)
  assert.equal(con.stats().discardedBytes, 62 * MiB)
  const ended = nextEvent(acceptor, 'end')
  creator.end()
  assert.deepEqual(await ended, [])
})

test('on QMux a stream nobody reads stops its own sender, and nothing of it is lost', async (t) => {
  const auto = { protocol: 'auto' }
  const { con, client, creator, acceptor } = await connectStream(t, { server: { ...auto, unclaimedLimit: 0 }, client: auto })
  let written = 0
  const fill = () => { while (written < 62 * 16 && creator.write(Buffer.alloc(65536, written++))); }
  creator.on('drain', fill)
  fill()
  assert.ok(await settled(() => written) < 62 * 16)
  for (let index = 0; index < 5; index++) {
    const second = await openPair(client, con, 'second')
    const arrived = nextEvent(second.acceptor, 'data')
    second.creator.write(Buffer.from('goes on'))
    assert.equal(String((await arrived)[0]), 'goes on')
  }
  assert.equal(con.stats().discardedBytes, 0)
  assert.equal(creator.writableNeedDrain, true)
  creator.removeListener('drain', fill)
  const received = collectBytes(acceptor)
  creator.end()
  assert.equal((await received).length, written * 65536)
})

test('a discarded stream still gives its end value', async (t) => {
  const { con, client, creator, acceptor } = await connectStream(t, { server: { ...LEGACY, unclaimedLimit: 100 } })
  for (let index = 0; index < 10; index++) creator.write(Buffer.alloc(1000))
  await overtake(client, con)
  const ended = nextEvent(acceptor, 'end')
  creator.end({ total: 10 })
  assert.deepEqual((await ended).map(String), ['{"total":10}'])
})

test('an end on an unclaimed stream with an end listener drops the data and fires', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const ended = nextEvent(acceptor, 'end')
  creator.write(Buffer.from('nobody wants it'))
  creator.end()
  assert.deepEqual(await ended, [])
})

test('an end and its value reach a listener that came in time, data or not', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const ended = nextEvent(acceptor, 'end')
  creator.write(Buffer.from('dropped'))
  creator.end('value')
  assert.deepEqual((await ended).map(String), ['"value"'])
})

test('a listener attached right behind an end listener still gets the data', async (t) => {
  const { con, client } = await connectPair(t)
  const got = within(new Promise((resolve) => con.once('stream', (stream) => {
    const seen = []
    stream.on('end', () => resolve(seen))
    // Within the turn that announced the stream, as an application does that asks something first.
    Promise.resolve().then(() => stream.on('data', (chunk) => seen.push(String(chunk))))
  })), 'the end')
  client.StreamPool.createStream('s', (stream) => {
    stream.write(Buffer.from('data'))
    stream.end()
  })
  assert.deepEqual(await got, ['data'])
})

test('a stream announced to nobody is acknowledged, and waits for a listener with what came', async (t) => {
  const { con, client } = await connectPair(t)
  const creator = await within(client.StreamPool.createStream('to nobody'), 'the acknowledgement')
  creator.end(Buffer.alloc(10_000))
  await nextEvent(creator, 'finish')
  await eventually(() => con.bytesRead > 10_000, 'the data')
  const [acceptor] = await nextEvent(con, 'stream')
  assert.equal(acceptor.meta, 'to nobody')
  assert.equal(Buffer.concat((await collect(acceptor)).chunks).length, 10_000)
  assert.equal(con.stats().discardedStreams, 0)
})

test('of what is announced to nobody only so much is kept', async (t) => {
  const { con, client } = await connectPair(t, { server: { maxPendingStreams: 5 } })
  for (let number = 0; number < 8; number++) {
    const creator = await within(client.StreamPool.createStream(number), 'the acknowledgement')
    const closed = nextEvent(creator, 'close')
    creator.end(Buffer.from('x'))
    await closed
  }
  await eventually(() => con.stats().discardedStreams === 3, 'all of it is counted')
  const metas = []
  con.on('stream', (stream) => metas.push(stream.meta))
  await eventually(() => metas.length === 5, 'those that were kept')
  assert.deepEqual(metas, [0, 1, 2, 3, 4])
})

test('one of the client\'s two places for a stream listener is enough', async (t) => {
  const { con, client } = await connectPair(t)
  for (const emitter of [client, client.connection]) {
    const announced = nextEvent(emitter, 'stream')
    const creator = await con.StreamPool.createStream('s')
    const [acceptor] = await announced
    const arrived = nextEvent(acceptor, 'data')
    creator.write(Buffer.from('x'))
    await arrived
  }
  assert.equal(client.connection.stats().discardedStreams, 0)
})

test('a process says once, as a warning, that it discards', async (t) => {
  const child = run(t, 'process-life.js', ['discards'])
  const { code, stderr } = await child.exit()
  assert.equal(code, 0, stderr)
  assert.equal(stderr.match(/Warning:/g)?.length, 1, stderr)
  assert.match(stderr, /discard/i)
})

test('only a claimed and paused stream holds up the connection', async (t) => {
  const server = await startServer(t, { readableHighWaterMark: 65536 })
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port)
  const [con] = await accepted
  const streams = []
  con.on('stream', (stream) => streams.push(stream))
  peer.send(frame(0, 2, '"unclaimed"'))
  peer.send(frame(1, 2, '"paused"'))
  await peer.expects('0000000a 00 04 6e756c6c  0000000a 01 04 6e756c6c')
  const [, paused] = streams
  // Unclaimed: sixteen MiB go through it, and the connection does not stop.
  for (let index = 0; index < 16; index++) peer.send(frame(0, 0, Buffer.alloc(MiB)))
  peer.send(frame(2, 2, '"third"'))
  await peer.expects('0000000a 02 04 6e756c6c')
  // Claimed and paused: now it stops.
  paused.pause()
  for (let index = 0; index < 16; index++) peer.send(frame(1, 0, Buffer.alloc(MiB, index)))
  peer.send(frame(3, 2, '"fourth"'))
  await eventually(() => con.stats().bytesRead > 16 * MiB + 65536, 'the socket is read up to the limit')
  await new Promise((resolve) => setTimeout(resolve, 200)) // what is to stay away has its chance to come
  assert.deepEqual(streams.map(({ meta }) => meta), ['unclaimed', 'paused', 'third'])
  const bytes = takeBytes(paused.resume(), 16 * MiB)
  await peer.expects('0000000a 03 04 6e756c6c')
  assert.equal((await bytes).length, 16 * MiB)
})
