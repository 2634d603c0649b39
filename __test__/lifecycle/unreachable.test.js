'use strict'

// An unused half ends once its program cannot reach the stream any more, and not before: docs/API.md, "Half-open
// streams". What ends it is V8's collector, which is nudged; so these tests take seconds.

const test = require('node:test')
const assert = require('node:assert/strict')
const { text } = require('node:stream/consumers')
const { PassThrough, finished, pipeline } = require('node:stream')
const { isAwaited } = require('../../lib/node-buffer.js')
const { connectPair, openPair } = require('../support/mux.js')
const { nextEvent, within, eventually } = require('../support/events.js')

// Programs of version 0.1.0: they never end what they accept.
const CLASSICS = {
  'data listener': (stream) => { stream.on('data', () => {}) },
  'data and end listeners, and a look at the meta': (stream) => { stream.on('data', () => stream.meta).on('end', () => {}) },
  'end listener': (stream) => { stream.on('end', () => {}) },
  'error listener': (stream) => { stream.on('data', () => {}).on('error', () => {}) },
  pipe: (stream) => { stream.pipe(new PassThrough().resume()) },
  'pipeline()': (stream) => { pipeline(stream, new PassThrough().resume(), () => {}) },
  'resume()': (stream) => { stream.resume() },
  'setTimeout(), and an event of its own': (stream) => { stream.setTimeout(200).on('data', () => {}).on('mine', () => {}) },
  nothing: () => {}
}

async function endsAll (t, classic) {
  const { con, client } = await connectPair(t, { server: { maxIncomingStreams: 2 } })
  await client.connection.ping()
  con.on('stream', classic)
  await within(Promise.all(Array.from({ length: 6 }, async (_, number) => {
    const stream = await client.StreamPool.createStream({ number })
    const answer = text(stream)
    stream.end(Buffer.from('one way'))
    assert.equal(await answer, '')
  })), 'the ends of all', 60_000)
  await eventually(() => con.stats().streamsLive + client.connection.stats().streamsLive === 0, 'the end of both')
}

test('a creator that reads sees its end, and leaks no place, beside programs of 0.1.0', { concurrency: true }, (t) => {
  return Promise.all(Object.entries(CLASSICS).map(([what, classic]) => t.test(what, (t) => endsAll(t, classic))))
})

// One that nobody holds is behind all others.
async function untilCollected (con, client) {
  con.on('stream', (stream) => { stream.on('data', () => {}) })
  const other = await client.StreamPool.createStream(2)
  const ended = text(other)
  other.end()
  await within(ended, 'the end of the other', 60_000)
}

// A connection whose weakly known streams have been collected, but for one that the program holds.
async function withOneHeld (t) {
  const { con, client } = await connectPair(t, { server: { maxIncomingStreams: 2 } })
  await client.connection.ping()
  const pair = await openPair(client, con)
  const { creator, acceptor } = pair
  acceptor.once('data', () => {})
  const answer = text(creator)
  answer.catch(() => {}) // of some tests it fails
  const asked = nextEvent(acceptor, 'end')
  creator.end(Buffer.from('question'))
  await asked
  await untilCollected(con, client)
  return { ...pair, answer, con, client }
}

test('a half that the program can still reach is not ended, and works', async (t) => {
  const { answer, acceptor, con } = await withOneHeld(t)
  assert.equal(acceptor.writable, true)
  assert.equal(con.StreamPool.streams[acceptor.id], acceptor)
  const closed = nextEvent(acceptor, 'close')
  acceptor.write(Buffer.from('answer'))
  acceptor.end()
  assert.equal(await answer, 'answer')
  await closed
  assert.deepEqual(Object.keys(con.StreamPool.streams), [])
})

test('a half that the program can still reach learns of its connection\'s end', async (t) => {
  const { creator, acceptor, client } = await withOneHeld(t)
  client.destroy()
  await eventually(() => acceptor.destroyed && creator.destroyed, 'the end of both')
})

test('a half that somebody begins to wait for is told of its end', async (t) => {
  const { creator, acceptor } = await withOneHeld(t)
  const closed = nextEvent(acceptor, 'close')
  const failed = nextEvent(acceptor, 'error')
  creator.stopSending(7)
  assert.equal((await failed)[0].code, 'ERR_MUX_STREAM_STOPPED')
  await closed
})

// What a program waits for beside what looks like it waits for nothing.
const WAITERS = {
  "'close', beside an onError of its own": (stream, done) => {
    stream.on('data', () => {}).on('error', function onError () {}).on('close', done)
  },
  "'close', beside a pipeline into a function": (stream, done) => {
    stream.on('close', done)
    pipeline(stream, async (source) => { for await (const chunk of source) assert.ok(chunk) }, () => {})
  },
  'finished(), beside a pipeline into a function': (stream, done) => {
    pipeline(stream, async (source) => { for await (const chunk of source) assert.ok(chunk) }, () => {})
    finished(stream, done)
  },
  'finished(), beside a pipeline': (stream, done) => {
    pipeline(stream, new PassThrough().resume(), () => {})
    finished(stream, done)
  }
}

test('a half whose end the program waits for is kept', { concurrency: true }, (t) => {
  return Promise.all(Object.entries(WAITERS).map(([what, wait]) => t.test(what, async (t) => {
    const { con, client } = await connectPair(t, { server: { maxIncomingStreams: 2 } })
    client.on('error', () => {})
    await client.connection.ping()
    let told = 0
    con.once('stream', (stream) => wait(stream, () => told++))
    const creator = await client.StreamPool.createStream(1)
    creator.on('data', () => {}).on('error', () => {})
    creator.end(Buffer.from('one way'))
    await nextEvent(creator, 'finish')
    await untilCollected(con, client)
    assert.equal(creator.destroyed, false)
    client.destroy()
    await eventually(() => told === 1, 'the word of its end')
  })))
})

test('the listeners of a pipeline are known on this Node', async (t) => {
  const { con, client } = await connectPair(t)
  const { acceptor } = await openPair(client, con)
  pipeline(acceptor, new PassThrough().resume(), () => {})
  assert.equal(isAwaited(acceptor), false)
  finished(acceptor, () => {})
  assert.equal(isAwaited(acceptor), true)
})
