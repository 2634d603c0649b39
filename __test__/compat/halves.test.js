'use strict'

// COMPAT.md, "missing halves", "'data' boundaries" and "write on an accepted stream"; what QMux changes of it.

const test = require('node:test')
const assert = require('node:assert/strict')
const { Readable, Writable, PassThrough, finished } = require('node:stream')
const { pipeline } = require('node:stream/promises')
const { promisify } = require('node:util')
const {
  BOTH_LEGACY, startServer, connectPair, connectStream, openPair, writeAll
} = require('../support/mux.js')
const { nextEvent, within, eventually, collect, take, turn } = require('../support/events.js')
const { connectWire, frame } = require('../support/wire.js')

const whenFinished = promisify(finished)

const gather = (chunks) => new Writable({
  objectMode: true,
  write (chunk, encoding, done) {
    chunks.push(chunk)
    done()
  }
})

test('a creator closes by itself after end(), without waiting for a readable half', async (t) => {
  const { creator, acceptor } = await connectStream(t, BOTH_LEGACY)
  acceptor.resume()
  creator.on('end', () => assert.fail('a creator has nothing to end'))
  const closed = nextEvent(creator, 'close')
  creator.end()
  await closed
  assert.equal(creator.destroyed, true)
  assert.ok(!creator.errored)
})

test('a creator somebody reads from closes the same way and never ends', async (t) => {
  const { creator, acceptor } = await connectStream(t, BOTH_LEGACY)
  acceptor.resume()
  creator.on('end', () => assert.fail('a creator has nothing to end'))
  creator.on('data', () => assert.fail('a creator has nothing to read'))
  const closed = nextEvent(creator, 'close')
  creator.end(Buffer.from('x'))
  await closed
})

test('on QMux a creator closes by itself, too, read or not, though nobody ends the other half', async (t) => {
  for (const read of [() => {}, (stream) => stream.resume(), (stream) => stream.on('end', () => {})]) {
    const { creator, acceptor } = await connectStream(t, { client: { protocol: 'auto' }, server: { protocol: 'auto' } })
    acceptor.resume()
    creator.on('data', () => assert.fail('nothing was written'))
    read(creator)
    const closed = nextEvent(creator, 'close')
    creator.end()
    await closed
    assert.ok(!creator.errored)
  }
})

test('on QMux halves that nobody listens to are over as Node knows it', async (t) => {
  const { creator, acceptor } = await connectStream(t, { client: { protocol: 'auto' }, server: { protocol: 'auto' } })
  acceptor.resume()
  const closed = [nextEvent(creator, 'close'), nextEvent(acceptor, 'close')]
  creator.end()
  await Promise.all(closed)
  for (const stream of [creator, acceptor]) {
    assert.equal(stream.readableEnded, true)
    assert.equal(stream.writableEnded, true)
    assert.equal(stream.writableFinished, true)
    assert.equal(stream.readable, false)
    assert.equal(stream.writable, false)
    assert.equal(stream.errored, null)
    await whenFinished(stream)
  }
})

test('on QMux who starts to listen when its own half has finished hears the other end', async (t) => {
  for (const later of [(listen) => listen(), (listen) => process.nextTick(listen)]) {
    const { creator, acceptor } = await connectStream(t, { client: { protocol: 'auto' }, server: { protocol: 'auto' } })
    acceptor.resume()
    const order = []
    acceptor.on('finish', () => order.push('acceptor finish')).on('close', () => order.push('acceptor close'))
    creator.on('finish', () => later(() => creator.on('end', () => order.push('creator end'))))
    const closed = [nextEvent(creator, 'close'), nextEvent(acceptor, 'close')]
    creator.end()
    await Promise.all(closed)
    assert.deepEqual(order.sort(), ['acceptor close', 'acceptor finish', 'creator end'])
  }
})

test('on QMux who starts to listen behind finish hears an end that was there before', async (t) => {
  const { creator, acceptor } = await connectStream(t, { client: { protocol: 'auto' }, server: { protocol: 'auto' } })
  acceptor.resume()
  acceptor.end()
  await eventually(() => creator._reader.hasEnded, "the peer's end")
  const heard = new Promise((resolve) => {
    creator.on('finish', () => process.nextTick(() => creator.on('end', resolve)))
  })
  creator.end()
  await within(heard, "'end'")
})

test('on QMux the end() of an acceptor is called though somebody replaced it', async (t) => {
  const { creator, acceptor } = await connectStream(t, { client: { protocol: 'auto' }, server: { protocol: 'auto' } })
  acceptor.resume()
  const { end } = acceptor
  let calls = 0
  acceptor.end = function (...values) {
    calls++
    return Reflect.apply(end, this, values)
  }
  const closed = [nextEvent(creator, 'close'), nextEvent(acceptor, 'close')]
  creator.end()
  await Promise.all(closed)
  assert.equal(calls, 1)
})

test('on QMux an end listener may still answer, also in a tick of its own', async (t) => {
  for (const later of [(answer) => answer(), (answer) => process.nextTick(answer)]) {
    const { creator, acceptor } = await connectStream(t, { client: { protocol: 'auto' }, server: { protocol: 'auto' } })
    acceptor.resume()
    acceptor.on('end', () => later(() => acceptor.end(Buffer.from('answer'))))
    const answer = collect(creator)
    creator.end()
    assert.equal(String((await answer).chunks), 'answer')
  }
})

test('an acceptor closes by itself after its end, without waiting for a writable half', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const order = []
  acceptor.on('end', () => order.push('end'))
  acceptor.on('close', () => order.push('close'))
  acceptor.resume()
  const closed = nextEvent(acceptor, 'close')
  creator.end()
  await closed
  assert.deepEqual(order, ['end', 'close'])
  assert.equal(acceptor.destroyed, true)
  assert.ok(!acceptor.errored)
})

test('finished() calls back for creator and acceptor', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  acceptor.resume()
  const both = within(Promise.all([whenFinished(creator), whenFinished(acceptor)]), 'both to finish')
  creator.write(Buffer.from('x'))
  creator.end()
  await both
})

test('finished() gives an error when the connection ends before the stream', async (t) => {
  const { con, client, creator, acceptor } = await connectStream(t)
  client.on('error', () => {})
  acceptor.resume()
  const both = [creator, acceptor].map((stream) => {
    return assert.rejects(within(whenFinished(stream), 'an end'), (error) => typeof error.code === 'string')
  })
  con.destroy()
  await Promise.all(both)
})

test('pipeline into a creator and out of an acceptor completes', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const chunks = []
  const source = Readable.from(Array.from({ length: 500 }, (_, index) => Buffer.alloc(5000, index)))
  await within(Promise.all([pipeline(source, creator), pipeline(acceptor, gather(chunks))]), 'both pipelines')
  const bytes = Buffer.concat(chunks)
  assert.equal(bytes.length, 2_500_000)
  for (let index = 0; index < 500; index++) assert.equal(bytes[index * 5000], index % 256)
})

test('a pipeline whose destination fails destroys the acceptor and leaves its neighbour alone', async (t) => {
  const { con, client, creator, acceptor } = await connectStream(t)
  const sink = new Writable({ write (chunk, encoding, done) { done(new Error('disk full')) } })
  const failing = pipeline(acceptor, sink)
  creator.write(Buffer.from('x'))
  await assert.rejects(within(failing, 'the pipeline'), { message: 'disk full' })
  assert.equal(acceptor.destroyed, true)
  const neighbour = await openPair(client, con)
  const arrived = nextEvent(neighbour.acceptor, 'data')
  neighbour.creator.write(Buffer.from('fine'))
  assert.equal(String((await arrived)[0]), 'fine')
})

test('end() on an accepted stream puts nothing on the wire, and the stream goes on', async (t) => {
  const server = await startServer(t)
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port)
  const [con] = await accepted
  const announced = nextEvent(con, 'stream')
  peer.send('0000000a 00 02 6e756c6c') // new stream 0
  const [stream] = await announced
  stream.end()
  const all = collect(stream)
  peer.send('00000008 00 00 6869') // data 'hi'
  peer.send('0000000a 00 03 6e756c6c') // end
  const { chunks } = await all
  assert.deepEqual(chunks.map(String), ['hi'])
  const again = nextEvent(con, 'stream')
  peer.send('0000000a 00 02 6e756c6c')
  await again
  await peer.expects('0000000a 00 04 6e756c6c  0000000a 00 04 6e756c6c') // two acks and nothing between them
  const closed = nextEvent(con, 'close')
  peer.finish()
  await closed
  assert.equal((await peer.rest()).length, 0)
})

// The error may come thrown, to the callback, or as an event: it has to come, and to say what is wrong.
async function errorOfWriting (stream, value) {
  return within(new Promise((resolve) => {
    stream.on('error', resolve)
    try {
      stream.write(value, (error) => error && resolve(error))
    } catch (error) {
      resolve(error)
    }
  }), 'an error')
}

test('writing on an accepted stream of an old peer is a clear error and disturbs nothing else', async (t) => {
  const server = await startServer(t)
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port)
  const [con] = await accepted
  const announced = nextEvent(con, 'stream')
  peer.send('0000000a 00 02 6e756c6c')
  const [stream] = await announced
  stream.on('data', () => assert.fail('what was written must not come back locally'))
  const error = await errorOfWriting(stream, Buffer.from('back'))
  assert.equal(error.code, 'ERR_MUX_NOT_WRITABLE')
  const second = nextEvent(con, 'stream')
  peer.send('0000000a 01 02 6e756c6c')
  await second
  await peer.expects('0000000a 00 04 6e756c6c  0000000a 01 04 6e756c6c')
})

test('writing on an accepted stream of a new peer is the same error while both speak the legacy wire', async (t) => {
  const { acceptor } = await connectStream(t, BOTH_LEGACY)
  const error = await errorOfWriting(acceptor, Buffer.from('back'))
  assert.equal(error.code, 'ERR_MUX_NOT_WRITABLE')
})

test('on QMux it goes back to the creator', async (t) => {
  const { creator, acceptor } = await connectStream(t, { client: { protocol: 'auto' }, server: { protocol: 'auto' } })
  const arrived = nextEvent(creator, 'data')
  acceptor.write(Buffer.from('back'))
  assert.equal(String((await arrived)[0]), 'back')
})

// ---- boundaries ---------------------------------------------------------------------------------------------------

const texts = (count) => Array.from({ length: count }, (_, index) => `message ${index}`)

async function sendTexts (creator, count) {
  for (const text of texts(count)) creator.write(Buffer.from(text))
  creator.end()
}

test('200 writes in a row give 200 data events', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const all = collect(acceptor)
  await sendTexts(creator, 200)
  assert.deepEqual((await all).chunks.map(String), texts(200))
})

test('200 writes give 200 chunks to read()', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const chunks = []
  acceptor.on('readable', () => {
    for (let chunk = acceptor.read(); chunk !== null; chunk = acceptor.read()) chunks.push(String(chunk))
  })
  const ended = nextEvent(acceptor, 'end')
  await sendTexts(creator, 200)
  await ended
  assert.deepEqual(chunks, texts(200))
})

test('200 writes give 200 chunks to for await', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  await sendTexts(creator, 200)
  const chunks = []
  for await (const chunk of acceptor) chunks.push(String(chunk))
  assert.deepEqual(chunks, texts(200))
})

test('200 writes give 200 chunks to Readable.toWeb', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  await sendTexts(creator, 200)
  const chunks = []
  for await (const chunk of Readable.toWeb(acceptor)) chunks.push(Buffer.from(chunk).toString())
  assert.deepEqual(chunks, texts(200))
})

test('200 writes that waited in a paused stream are still 200 chunks', async (t) => {
  const { con, client, creator, acceptor } = await connectStream(t)
  acceptor.pause()
  await sendTexts(creator, 200)
  await openPair(client, con) // it is announced behind them
  assert.deepEqual((await collect(acceptor.resume())).chunks.map(String), texts(200))
})

test('empty writes keep their places between others, with read() and for await too', async (t) => {
  const { con, client } = await connectPair(t)
  for (const read of [
    async (stream) => (await collect(stream)).chunks,
    async (stream) => {
      const chunks = []
      for await (const chunk of stream) chunks.push(chunk)
      return chunks
    }
  ]) {
    const { creator, acceptor } = await openPair(client, con)
    for (const text of ['a', '', 'b', '', '']) creator.write(Buffer.from(text))
    creator.end()
    assert.deepEqual((await within(read(acceptor), 'the chunks')).map(String), ['a', '', 'b', '', ''])
  }
})

test('a for await that breaks off destroys its stream, and its neighbours go on', async (t) => {
  const { con, client, creator, acceptor } = await connectStream(t)
  const neighbour = await openPair(client, con)
  creator.write(Buffer.from('first'))
  creator.write(Buffer.alloc(1_000_000))
  for await (const chunk of acceptor) {
    assert.equal(String(chunk), 'first')
    break
  }
  assert.equal(acceptor.destroyed, true)
  const arrived = nextEvent(neighbour.acceptor, 'data')
  neighbour.creator.write(Buffer.from('fine'))
  assert.equal(String((await arrived)[0]), 'fine')
})

test('a large write may arrive in several pieces, and shares none with its neighbours', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const all = collect(acceptor)
  creator.write(Buffer.from('before'))
  await writeAll(creator, 1, () => Buffer.alloc(1_000_000, 7))
  creator.write(Buffer.from('behind'))
  creator.end()
  const { chunks } = await all
  assert.equal(String(chunks.shift()), 'before')
  assert.equal(String(chunks.pop()), 'behind')
  assert.ok(Buffer.concat(chunks).equals(Buffer.alloc(1_000_000, 7)))
})

test('with { messages: false } the bytes are the same, in order', async (t) => {
  const { con, client } = await connectPair(t)
  const { creator, acceptor } = await openPair(client, con, 'bytes', { messages: false })
  const all = collect(acceptor)
  await sendTexts(creator, 200)
  assert.equal(Buffer.concat((await all).chunks).toString(), texts(200).join(''))
})

test('two streams written in turns arrive each in its own order', async (t) => {
  const { con, client } = await connectPair(t)
  const first = await openPair(client, con)
  const second = await openPair(client, con)
  const both = Promise.all([take(first.acceptor, 500), take(second.acceptor, 500)])
  for (let index = 0; index < 500; index++) {
    first.creator.write(index)
    second.creator.write(1000 + index)
  }
  const [low, high] = await both
  assert.deepEqual(low.map(Number), Array.from({ length: 500 }, (_, index) => index))
  assert.deepEqual(high.map(Number), Array.from({ length: 500 }, (_, index) => 1000 + index))
})

test('readable and pipe through a PassThrough keep every byte under backpressure', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const slow = new PassThrough({ highWaterMark: 1000 })
  acceptor.pipe(slow)
  let size = 0
  const done = within((async () => {
    for await (const chunk of slow) {
      size += chunk.length
      await turn()
    }
  })(), 'the slow reader')
  await writeAll(creator, 200, () => Buffer.alloc(10_000))
  creator.end()
  await done
  assert.equal(size, 2_000_000)
})

test('an old peer\'s frame arrives complete when its bytes come one by one', async (t) => {
  const server = await startServer(t)
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port)
  const [con] = await accepted
  const announced = nextEvent(con, 'stream')
  peer.send(frame(0, 2, 'null'))
  const [stream] = await announced
  const arriving = collect(stream)
  await peer.dribble(frame(0, 0, 'in small pieces'))
  peer.send(frame(0, 3, 'null'))
  // The original passed on partial frames as they came: whole or in pieces, never more and never less.
  assert.equal(Buffer.concat((await arriving).chunks).toString(), 'in small pieces')
})
