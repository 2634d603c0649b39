'use strict'

// Frames that are harmless once: each kind has a budget, so many at once and so many a second.

const test = require('node:test')
const assert = require('node:assert/strict')
const { down, everywhere, frames: f, join, record, siege, up } = require('../support/qmux-wire.js')
const { connectPair } = require('../support/mux.js')
const { eventually, nextEvent, within } = require('../support/events.js')

const FLOOD = [0x0a, 'ERR_MUX_FLOOD']
const one = up(0)

const quiet = (con) => con.on('stream', (stream) => stream.on('error', () => {}).resume())

// `frame(n)` as often as it takes, 50 in a record; the answers are read.
async function floods (t, options, what, frame, { first = [], until, prepare = quiet, parameters } = {}) {
  const { open, ends, check } = await siege(t, options)
  const attacker = await open({ prepare, parameters })
  if (first.length > 0) attacker.peer.send(...first)
  if (until !== undefined) await attacker.peer.next(until)
  let count = 0
  const flood = (async () => {
    while (!attacker.con.destroyed && count < 20_000) {
      await attacker.peer.write(record(...Array.from({ length: 50 }, () => frame(count++))))
    }
  })()
  await ends(attacker, ...FLOOD, what)
  await flood
  await check()
}

everywhere(test, 'frames that are of no use', async (t, route) => {
  const options = { ...route, maxUselessFrames: 200 }
  const wholly = {
    padding: () => join(f.padding(), f.streamsBlocked(0)), // else padding would be one run
    'the same credit': () => f.maxData(5),
    'the same credit of a stream': () => f.maxStreamData(one, 5),
    'the same count of streams': () => f.maxStreams(5),
    'a count of streams that we never open': (n) => f.maxStreamsUni(n),
    'waiting for what was never missing': () => f.dataBlocked(2n ** 40n),
    'waiting for the same': () => f.dataBlocked(5),
    'a stream that waits for what was never missing': () => f.streamDataBlocked(one, 2n ** 40n),
    'a stream that waits for the same': () => f.streamDataBlocked(one, 5),
    'waiting for streams that it may open': () => f.streamsBlocked(5),
    'going away again': () => f.goAway(5)
  }
  for (const [what, frame] of Object.entries(wholly)) await floods(t, options, what, frame, { first: [f.open(one)] })
})

// Each is answered before the next: those that come together have one answer, and cost one.
everywhere(test, 'pings', async (t, route) => {
  for (const parameters of [undefined, { maxData: 0 }]) {
    const { open, fails, check } = await siege(t, { ...route, maxPings: 5 })
    const { peer, ...attacker } = await open({ prepare: quiet, parameters })
    let frame
    for (let number = 0; frame?.kind !== 'close'; number++) {
      peer.send(f.ping(number))
      do frame = await within(peer.next(), 'a pong, or the end'); while (!['pong', 'close'].includes(frame.kind))
    }
    assert.equal(frame.code, FLOOD[0])
    await fails({ peer, ...attacker }, FLOOD[1], 'pings')
    await check()
  }
})

everywhere(test, 'streams opened and reset', async (t, route) => {
  let seen = 0
  const prepare = (con) => con.on('stream', (stream) => {
    seen++
    stream.on('error', () => {}).resume()
  })
  await floods(t, { ...route, maxResets: 100 }, 'resets', (n) => join(f.open(up(n)), f.reset(up(n), 0, 5)), { prepare })
  // One more is opened than may be reset at once, and 100 more each second.
  assert.ok(seen <= 150, `${seen} streams were shown to the program`)
})

everywhere(test, 'resets of streams that are over', async (t, route) => {
  await floods(t, { ...route, maxResets: 100 }, 'resets', () => f.reset(one, 0, 5), { first: [f.open(one)] })
})

everywhere(test, 'resets that we are made to send', async (t, route) => {
  const options = { ...route, maxResets: 100 }
  await floods(t, options, 'stops', (n) => join(f.open(up(n)), f.stop(up(n))))
  await floods(t, options, 'stops of one stream', () => f.stop(one), { first: [f.open(one)] })
  await floods(t, options, 'stops of streams that are jumped over', (n) => f.stop(up(n)))
})

everywhere(test, 'resets by a peer that connects again and again', async (t, route) => {
  // As many as it may on one connection; in the second or more until it may again it has done so twice.
  const { open, ends } = await siege(t, { ...route, maxResets: 200 })
  const frames = Array.from({ length: 150 }, (_, n) => join(f.open(up(n)), f.reset(up(n), 0, 5)))
  const first = await open({ prepare: quiet })
  first.peer.send(...frames)
  await first.peer.roundTrip(1)
  first.peer.socket.destroy()
  await within(first.closed, "'close' of the first")
  const second = await open({ prepare: quiet })
  second.peer.send(...frames)
  await ends(second, ...FLOOD, 'resets')
})

everywhere(test, 'empty frames, to streams that are read, paused, unclaimed, stopped, and within a meta', async (t, route) => {
  const options = { ...route, maxEmptyFrames: 500 }
  const empty = () => f.message(one)
  const listeners = {
    read: quiet,
    paused: (con) => con.on('stream', (stream) => stream.on('data', () => {}).pause()),
    unclaimed: (con) => con.on('stream', () => {}),
    stopped: (con) => con.on('stream', (stream) => stream.stopSending()),
    'without a listener': () => {}
  }
  for (const [what, prepare] of Object.entries(listeners)) {
    await floods(t, options, `empty frames to a stream that is ${what}`, empty, { prepare, first: [f.open(one)] })
  }
  await floods(t, options, 'empty frames in front of a meta', empty)
  await floods(t, options, 'empty frames with offsets', () => f.stream(one, 0))
})

everywhere(test, 'announcements of end values on a stream that nobody wants', async (t, route) => {
  const prepare = (con) => con.on('stream', (stream) => stream.stopSending(1))
  await floods(t, { ...route, maxUselessFrames: 200 }, 'announcements', () => f.endValue(one), { first: [f.open(one)], until: 'stop', prepare })
})

test('a flood ends its own connection when the budgets are those of the defaults, too', async (t) => {
  const kinds = {
    pings: (n) => f.ping(n),
    resets: (n) => f.reset(up(n % 200)),
    stops: (n) => f.stop(up(n % 200)),
    'frames of no use': () => f.maxData(1)
  }
  for (const [what, frame] of Object.entries(kinds)) await floods(t, { protocol: 'auto' }, what, frame)
})

test('streams that are opened and aborted for ever never use up the places of others', async (t) => {
  for (const aborted of [
    (n) => join(f.open(up(n)), f.reset(up(n), 0, 5), f.stop(up(n))),
    (n) => join(f.message(up(n), '\x09ab'), f.reset(up(n), 0, 3), f.stop(up(n))),
    (n) => join(f.stop(up(n)), f.reset(up(n)))
  ]) {
    const { open, check } = await siege(t, { protocol: 'auto', maxIncomingStreams: 10, maxPendingStreams: 10 })
    const { peer } = await open({ prepare: quiet })
    let allowed = 10
    for (let count = 0; count < 100; count++) {
      while (count >= allowed) allowed = (await within(peer.next('maxStreams'), `a place for stream ${count}`, 5000)).limit
      peer.send(aborted(count))
    }
    await check()
  }
})

test('an open that is aborted before its meta is through leaves its place to others', async (t) => {
  const { client, con } = await connectPair(t, {
    server: { protocol: 'qmux', maxIncomingStreams: 4, maxPendingStreams: 4, streamWindow: 1000, maxStreamWindow: 1000 },
    client: { protocol: 'qmux' }
  })
  quiet(con)
  for (let count = 0; count < 20; count++) {
    const abort = new AbortController()
    const opening = client.StreamPool.createStream('m'.repeat(1_000_000), { signal: abort.signal })
    await client.connection.ping()
    abort.abort()
    await assert.rejects(opening)
  }
  await within(client.StreamPool.createStream('the last one'), 'a place')
})

test('a stream that is stopped before it is accepted or refused is answered by its reset alone', async (t) => {
  const { open, check } = await siege(t, { protocol: 'auto' })
  for (const [what, listener] of Object.entries({
    accepted: (stream) => stream.on('error', () => {}).resume(),
    refused: (stream) => stream.on('error', () => {}).refuse(70)
  })) {
    const { peer, con } = await open({ prepare: (con) => con.on('stream', listener) })
    peer.send(f.open(one), f.stop(one, 3))
    assert.deepEqual(await peer.next('reset'), { kind: 'reset', id: one, code: 3, size: 0 })
    peer.send(f.ping(1))
    for (let frame; (frame = await peer.next()).kind !== 'pong';) {
      assert.notEqual(frame.kind, 'stream', `a stream frame behind the reset of a stream that is ${what}`)
    }
    peer.send(f.message(one, '', { fin: true }), f.ping(2))
    await peer.next('pong')
    assert.equal(con.stats().queuedBytes, 0)
    // What was never sent keeps nobody from ending.
    con.end()
    await within(peer.wire.ended, `the end of the connection whose stream was ${what}`)
  }
  await check()
})

test('a go-away that takes back a stream that was accepted ends the connection and nothing else', async (t) => {
  const { open, check } = await siege(t, { protocol: 'auto' })
  const { peer, con } = await open()
  const opening = within(con.StreamPool.createStream('ours'), 'the stream')
  const { id } = await peer.next('stream')
  assert.equal(id, down(0))
  peer.send(f.message(id, '\0'))
  const stream = await opening
  stream.on('error', () => {})
  const closed = nextEvent(stream, 'close')
  const failed = nextEvent(con, 'error')
  peer.send(f.goAway(0))
  assert.equal((await failed)[0].code, 'ERR_MUX_PROTOCOL_VIOLATION')
  await closed
  await check()
})

test('streams jumped over by their ids may still come, in any order', async (t) => {
  const { open, check } = await siege(t, { protocol: 'auto' })
  const seen = []
  const { peer } = await open({ prepare: (con) => con.on('stream', (stream) => { seen.push(stream.meta); stream.resume() }) })
  peer.send(f.open(up(255), '255'), f.open(up(7), '7'), f.stop(up(9)), f.open(up(0), '0'))
  await eventually(() => seen.length === 3, 'three streams')
  assert.deepEqual(seen, [255, 7, 0])
  await peer.roundTrip(1)
  await check()
})
