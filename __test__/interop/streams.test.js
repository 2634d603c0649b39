'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const { writeAll } = require('../support/mux.js')
const { within, nextEvent, collectBytes, takeBytes } = require('../support/events.js')
const { connectPeer, everywhere, echo } = require('./peer.js')
const { Pattern } = require('./pattern.js')

// Bytes in chunks of 4,001, so that no frame ends where a window or a record does.
const CHUNK = 4001
const COUNT = 25

async function exchange (con, seed) {
  const stream = await within(con.StreamPool.createStream(null), 'the stream to open')
  const back = collectBytes(stream)
  const out = new Pattern(seed)
  await writeAll(stream, COUNT, () => out.take(CHUNK))
  stream.end()
  return new Pattern(seed).take(COUNT * CHUNK).equals(await back)
}

everywhere(test, 'what it sends comes back from us', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement)
  echo(con)
  assert.deepEqual(await peer.ask('exchange 1 1000000'), { event: 'exchange', streams: 1, intact: 1, failure: '' })
})

everywhere(test, 'what we send comes back from it', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement)
  assert.equal(await exchange(con, 0), true)
  const { bytes, intact, end } = await peer.event('read')
  assert.deepEqual({ bytes, intact, end }, { bytes: COUNT * CHUNK, intact: true, end: 'fin' })
  assert.equal((await peer.event('written')).end, 'fin')
})

everywhere(test, '100 streams at once each way keep their bytes to themselves', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement)
  echo(con)
  const theirs = peer.ask('together 100 40000')
  const streams = await Promise.all(Array.from({ length: 100 }, () => {
    return within(con.StreamPool.createStream(null), 'a stream to open')
  }))
  const patterns = streams.map((_, seed) => new Pattern(seed))
  for (const half of ['first', 'second']) {
    const halves = patterns.map((pattern) => pattern.take(20_000))
    const backs = streams.map((stream) => takeBytes(stream, 20_000))
    for (const [index, stream] of streams.entries()) stream.write(halves[index])
    const equal = (await Promise.all(backs)).filter((back, index) => back.equals(halves[index]))
    assert.equal(equal.length, 100, `the ${half} halves that came back as they were`)
    for (const stream of streams) stream.removeAllListeners('data')
  }
  assert.deepEqual(await theirs, { event: 'together', streams: 100, intact: 100, failure: '' })
  const ends = streams.map((stream) => nextEvent(stream, 'end'))
  for (const stream of streams) stream.resume().end()
  await Promise.all(ends)
})

everywhere(test, "streams beyond the other end's limit wait for it, either way", async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement, {
    ours: { maxIncomingStreams: 7, maxStreams: 1000 },
    theirs: { streams: 5 }
  })
  echo(con)
  const [theirs, ours] = await Promise.all([
    peer.ask('exchange 300 5000'),
    Promise.all(Array.from({ length: 300 }, (_, seed) => exchange(con, seed)))
  ])
  assert.deepEqual(theirs, { event: 'exchange', streams: 300, intact: 300, failure: '' })
  assert.equal(ours.filter((isIntact) => isIntact).length, 300)
})

everywhere(test, 'its end leaves us free to answer later', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement, { ours: { allowHalfOpen: true } })
  const answer = peer.ask('ask the question')
  const [stream] = await nextEvent(con, 'stream')
  assert.equal((await collectBytes(stream)).toString(), 'the question')
  stream.write(Buffer.from('the '))
  stream.end(Buffer.from('answer'))
  assert.equal((await answer).answer, 'the answer')
})

everywhere(test, 'our end leaves it free to answer later', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement, { theirs: { accept: 'late' } })
  const stream = await con.StreamPool.createStream(null)
  const answer = collectBytes(stream)
  stream.write(Buffer.from('all '))
  stream.end(Buffer.from('of it'))
  assert.equal((await peer.event('read')).bytes, 9)
  assert.equal((await answer).toString(), 'all of it')
  assert.equal((await peer.event('written')).end, 'fin')
})

everywhere(test, 'what it ends first we go on writing', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement, {
    ours: { allowHalfOpen: true },
    theirs: { accept: 'hush' }
  })
  const stream = await con.StreamPool.createStream(null)
  assert.equal((await collectBytes(stream)).length, 0)
  await peer.event('written')
  stream.write(new Pattern().take(100_000))
  const closed = nextEvent(stream, 'close')
  stream.end()
  const { bytes, intact } = await peer.event('read')
  assert.deepEqual({ bytes, intact }, { bytes: 100_000, intact: true })
  await closed
})

everywhere(test, 'without allowHalfOpen a stream answers its end with ours', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement)
  con.on('stream', (stream) => stream.resume())
  const { bytes, answer } = await peer.ask('send 100000')
  assert.deepEqual({ bytes, answer }, { bytes: 100_000, answer: 0 })
})

everywhere(test, 'its reset fails our stream with the code, after what came before', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement)
  const reset = peer.ask('reset 7')
  const [stream] = await nextEvent(con, 'stream')
  const failed = nextEvent(stream, 'error')
  const closed = nextEvent(stream, 'close')
  stream.write(await takeBytes(stream, 5))
  const [error] = await failed
  assert.equal(error.code, 'ERR_MUX_STREAM_RESET')
  assert.equal(error.resetCode, 7)
  await closed
  // Whatever it was, our half has come to an end as well.
  await reset
})

everywhere(test, 'a reset that nobody listens for ends its stream and nothing else', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement)
  const reset = peer.ask('reset 4294967295')
  const [stream] = await nextEvent(con, 'stream')
  const closed = nextEvent(stream, 'close')
  // Not by pipe(), which listens for errors.
  stream.on('data', (chunk) => stream.write(chunk))
  await closed
  await reset
  echo(con)
  assert.equal((await peer.ask('exchange 3 50000')).intact, 3)
})

everywhere(test, 'a half of ours that it resets fails with the code', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement, { theirs: { accept: 'reset:9' } })
  const stream = await con.StreamPool.createStream(null)
  const failed = nextEvent(stream, 'error')
  const bytes = takeBytes(stream, 5)
  stream.write(Buffer.from('hello'))
  assert.equal((await bytes).toString(), 'hello')
  stream.write(Buffer.from('again'))
  const [error] = await failed
  assert.deepEqual([error.code, error.resetCode], ['ERR_MUX_STREAM_RESET', 9])
  assert.equal((await peer.event('written')).end, 'reset')
  // It destroyed our stream, whose half has come to an end as well.
  assert.equal((await peer.event('read')).bytes, 10)
})

everywhere(test, 'our reset tells it the code', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement)
  const stream = await con.StreamPool.createStream(null)
  const closed = nextEvent(stream, 'close')
  stream.write(Buffer.from('hello'))
  await takeBytes(stream, 5)
  stream.reset(8)
  const { bytes, end, code } = await peer.event('read')
  assert.deepEqual({ bytes, end, code }, { bytes: 5, end: 'reset', code: 8 })
  await closed
  assert.equal(await exchange(con, 1), true)
})

everywhere(test, 'its stop ends what we write and nothing else', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement, { ours: { allowHalfOpen: true } })
  const stop = peer.ask('stop 11')
  const [stream] = await nextEvent(con, 'stream')
  const stopped = nextEvent(stream, 'stopSending')
  const all = collectBytes(stream)
  stream.once('data', (chunk) => stream.write(chunk))
  assert.deepEqual(await stopped, [11])
  assert.equal((await all).toString(), 'hellomore')
  assert.equal((await stop).end, 'fin')
})

everywhere(test, 'its stop of a stream that we opened ends what we write and nothing else', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement, { theirs: { accept: 'stop:12' } })
  const stream = await con.StreamPool.createStream(null)
  const stopped = nextEvent(stream, 'stopSending')
  const all = collectBytes(stream)
  stream.write(Buffer.from('hello'))
  assert.deepEqual(await stopped, [12])
  assert.equal((await all).toString(), 'thanks')
  assert.equal((await peer.event('written')).end, 'fin')
})

everywhere(test, 'its stop with a code destroys a stream that does not listen for it', async (t, arrangement) => {
  const { con } = await connectPeer(t, arrangement, { theirs: { accept: 'stop:13' } })
  const stream = await con.StreamPool.createStream(null)
  const failed = nextEvent(stream, 'error')
  stream.write(Buffer.from('hello'))
  assert.equal((await failed)[0].code, 'ERR_MUX_STREAM_STOPPED')
  assert.equal(stream.destroyed, true)
})

everywhere(test, 'our stop tells it the code, and we go on writing', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement, { ours: { allowHalfOpen: true } })
  const stream = await con.StreamPool.createStream(null)
  stream.write(Buffer.from('hello'))
  await takeBytes(stream, 5)
  stream.stopSending(14)
  // It resets its half in answer to that, which is nothing to us.
  const { end, code } = await peer.event('written')
  assert.deepEqual({ end, code }, { end: 'stop', code: 14 })
  stream.write(Buffer.from('more'))
  stream.end()
  const read = await peer.event('read')
  assert.deepEqual([read.bytes, read.end], [9, 'fin'])
})

everywhere(test, 'destroy() is an end and a stop to it', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement)
  const stream = await con.StreamPool.createStream(null)
  stream.write(Buffer.from('hello'))
  await takeBytes(stream, 5)
  stream.destroy()
  const read = await peer.event('read')
  assert.deepEqual([read.bytes, read.end], [5, 'fin'])
  assert.equal(await exchange(con, 1), true)
})
