'use strict'

// What a listener may do in the middle of a batch that came in at once: throw, destroy, pause, end, open, close.

const test = require('node:test')
const assert = require('node:assert/strict')
const { connectPair, openPair, startServer, openClient } = require('../support/mux.js')
const { nextEvent, within, turn, collect, take } = require('../support/events.js')
const { connectWire, frame, hex } = require('../support/wire.js')
const { run } = require('../support/child.js')

// A server with two old streams on one connection, and a sender of 200 messages to each, in turns and in one segment.
async function batch (t) {
  const server = await startServer(t)
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port)
  const [con] = await accepted
  const streams = []
  con.on('stream', (stream) => streams.push(stream))
  peer.send('00000007 00 02 30  00000007 01 02 31')
  await peer.expects('0000000a 00 04 6e756c6c  0000000a 01 04 6e756c6c')
  const frames = []
  for (let index = 0; index < 200; index++) frames.push(frame(0, 0, `a${index}`), frame(1, 0, `b${index}`))
  frames.push(hex('0000000a 00 03 6e756c6c  0000000a 01 03 6e756c6c'))
  return { server, con, peer, streams, send: () => peer.send(Buffer.concat(frames)) }
}

const numbered = (letter) => Array.from({ length: 200 }, (_, index) => `${letter}${index}`)

for (const [where, what] of [
  ['data', 'a data listener'],
  ['buffered', 'a data listener that is given what waited'],
  ['stream', 'a stream listener'],
  ['end', 'an end listener'],
  ['connection', 'a connection listener'],
  ['callback', 'the callback of createStream'],
  ['close', 'a close listener']
]) {
  test(`${what} that throws: the rest of the batch is delivered, and nothing twice`, async (t) => {
    const child = run(t, 'throwing.js', [where])
    const report = await child.report()
    assert.equal((await child.exit()).code, 0)
    assert.ok(report.thrown > 0, 'the listener has thrown')
    assert.equal(report.caught, report.thrown, 'each throw is one uncaughtException')
    assert.deepEqual(report.wrong, [])
    assert.equal(report.messages, 2000)
    assert.equal(report.ends, 20)
  })
}

test('a stream destroyed in mid-batch gets nothing more, and its neighbour all', async (t) => {
  const { peer, con, streams: [first, second], send } = await batch(t)
  const seen = []
  first.on('data', (chunk) => {
    seen.push(String(chunk))
    if (seen.length === 50) first.destroy()
  })
  first.on('end', () => assert.fail('an end after destroy'))
  const all = collect(second)
  send()
  assert.deepEqual((await all).chunks.map(String), numbered('b'))
  assert.deepEqual(seen, numbered('a').slice(0, 50))
  // The destroyed stream's id is free again after the peer's end.
  const announced = nextEvent(con, 'stream')
  peer.send('00000007 00 02 32')
  assert.equal((await announced)[0].meta, 2)
})

test('a stream destroyed by its neighbour in mid-batch gets nothing more', async (t) => {
  const { streams: [first, second], send } = await batch(t)
  const seen = []
  second.on('data', (chunk) => seen.push(String(chunk)))
  const ended = nextEvent(first, 'end')
  let count = 0
  first.on('data', () => {
    if (++count === 100) second.destroy()
  })
  send()
  await ended
  assert.equal(count, 200)
  assert.deepEqual(seen, numbered('b').slice(0, 99))
})

test('a stream paused in mid-batch keeps the rest for later, in order', async (t) => {
  const { streams: [first, second], send } = await batch(t)
  const seen = []
  const paused = new Promise((resolve) => first.on('data', (chunk) => {
    seen.push(String(chunk))
    if (seen.length === 50) {
      first.pause()
      resolve()
    }
  }))
  const all = collect(second)
  send()
  await within(paused, 'the pause')
  assert.equal((await all).chunks.length, 200)
  await turn()
  assert.equal(seen.length, 50)
  const ended = nextEvent(first, 'end')
  first.resume()
  await ended
  assert.deepEqual(seen, numbered('a'))
})

test('a stream paused and resumed at every message loses nothing and repeats nothing', async (t) => {
  const { streams: [first, second], send } = await batch(t)
  const seen = []
  first.on('data', (chunk) => {
    seen.push(String(chunk))
    first.pause()
    setImmediate(() => first.resume())
  })
  const all = Promise.all([collect(second), nextEvent(first, 'end')])
  send()
  await all
  assert.deepEqual(seen, numbered('a'))
})

test('pause and resume within one listener changes nothing', async (t) => {
  const { streams: [first, second], send } = await batch(t)
  const seen = []
  first.on('data', (chunk) => {
    seen.push(String(chunk))
    first.pause()
    first.resume()
  })
  const all = Promise.all([collect(second), nextEvent(first, 'end')])
  send()
  await all
  assert.deepEqual(seen, numbered('a'))
})

test('the connection destroyed in mid-batch delivers nothing more to anybody', async (t) => {
  const { con, streams: [first, second], send } = await batch(t)
  const seen = []
  for (const stream of [first, second]) {
    stream.on('data', (chunk) => {
      assert.equal(con.destroyed, false)
      seen.push(String(chunk))
      if (seen.length === 99) con.destroy()
    })
    stream.on('end', () => assert.fail('an end after destroy'))
  }
  const closed = Promise.all([nextEvent(con, 'close'), nextEvent(first, 'close'), nextEvent(second, 'close')])
  send()
  await closed
  assert.equal(seen.length, 99)
})

test('the connection ended in mid-batch still delivers all that came', async (t) => {
  const { con, peer, streams: [first, second], send } = await batch(t)
  first.once('data', () => con.end())
  const both = Promise.all([collect(first), collect(second)])
  send()
  const [one, two] = await both
  assert.deepEqual(one.chunks.map(String), numbered('a'))
  assert.deepEqual(two.chunks.map(String), numbered('b'))
  assert.equal((await peer.rest()).length, 0)
})

test('the connection paused in mid-batch delivers the rest after resume', async (t) => {
  const { con, streams: [first, second], send } = await batch(t)
  const both = Promise.all([collect(first), collect(second)])
  first.once('data', () => {
    con.pause()
    setTimeout(() => con.resume(), 20)
  })
  send()
  const [one, two] = await both
  assert.deepEqual(one.chunks.map(String), numbered('a'))
  assert.deepEqual(two.chunks.map(String), numbered('b'))
})

test('the server closed in mid-batch leaves the connection its rest', async (t) => {
  const { server, streams: [first, second], send } = await batch(t)
  first.once('data', () => server.close())
  const both = Promise.all([collect(first), collect(second)])
  send()
  const [one, two] = await both
  assert.equal(one.chunks.length + two.chunks.length, 400)
})

test('streams opened and written in mid-batch go out in order', async (t) => {
  const { con, client } = await connectPair(t)
  const { creator, acceptor } = await openPair(client, con)
  const echoes = []
  const echoed = within(new Promise((resolve) => client.on('stream', (stream) => stream.on('data', (chunk) => {
    echoes.push([stream.meta, String(chunk)])
    if (echoes.length === 100) resolve()
  }))), 'the echoes')
  acceptor.on('data', (chunk) => con.StreamPool.createStream(Number(chunk), (stream) => stream.end(chunk)))
  for (let index = 0; index < 100; index++) creator.write(index)
  await echoed
  assert.deepEqual(echoes, Array.from({ length: 100 }, (_, index) => [index, String(index)]))
})

test('listeners removed and added in mid-batch take effect at the next message', async (t) => {
  const { streams: [first, second], send } = await batch(t)
  const seen = []
  first.on('data', function early (chunk) {
    seen.push(`early ${chunk}`)
    if (seen.length < 10) return
    first.on('data', (each) => seen.push(`late ${each}`))
    first.removeListener('data', early)
  })
  const all = Promise.all([collect(second), nextEvent(first, 'end')])
  send()
  await all
  assert.equal(seen.length, 200)
  assert.equal(seen[9], 'early a9')
  assert.equal(seen[10], 'late a10')
  assert.equal(seen[199], 'late a199')
})

test('streams of two connections served in one batch stay apart when one is destroyed', async (t) => {
  const server = await startServer(t)
  const pairs = []
  for (let index = 0; index < 2; index++) {
    const accepted = nextEvent(server, 'connection')
    const client = await openClient(t, server)
    const [con] = await accepted
    client.on('error', () => {})
    pairs.push({ con, ...await openPair(client, con) })
  }
  const [doomed, other] = pairs
  doomed.acceptor.on('data', () => doomed.con.destroy())
  const all = take(other.acceptor, 1000)
  for (let index = 0; index < 1000; index++) {
    doomed.creator.write(index)
    other.creator.write(index)
  }
  assert.deepEqual((await all).map(Number), Array.from({ length: 1000 }, (_, index) => index))
})
