'use strict'

// The engine of the throughput workloads, over streams that are not there.

const test = require('node:test')
const assert = require('node:assert/strict')
const { EventEmitter } = require('node:events')
const { setImmediate: turn } = require('node:timers/promises')

const load = import('../../benchmark/lib/flood.mjs')
const loadPattern = import('../../benchmark/lib/pattern.mjs')

// Takes `room` writes until it is full; `deliver` gets what is written.
class FakeStream extends EventEmitter {
  constructor (room = Infinity, deliver = () => {}) {
    super()
    this.room = room
    this.deliver = deliver
    this.writes = 0
    this.hasEnded = false
  }

  write (bytes) {
    assert.equal(this.hasEnded, false)
    this.writes++
    this.deliver(bytes)
    return --this.room > 0
  }

  drain (room) {
    this.room = room
    this.emit('drain')
  }

  end () { this.hasEnded = true }
}

// A clock on which no time passes: no turn ends by it.
const STANDING = { now: () => 0 }

// One that goes on by a millisecond with each look.
function ticking () {
  let now = 0
  return { now: () => now++ }
}

test('a flood writes to its streams in turn and leaves out those that are full', async () => {
  const { Flood } = await load
  const order = []
  const streams = [3, 1, 2].map((room, index) => new FakeStream(room, () => order.push(index)))
  const flood = new Flood(streams, { size: 8, clock: STANDING })
  flood.start()
  assert.deepEqual(order, [0, 1, 2, 0, 2, 0])
  streams[1].drain(2)
  assert.deepEqual(order.slice(6), [1, 1])
  flood.stop()
  assert.equal(await flood.ended, 8)
  assert.ok(streams.every(({ hasEnded }) => hasEnded))
})

test('a flood that is never held back lets the event loop turn', async () => {
  const { Flood } = await load
  const stream = new FakeStream()
  const flood = new Flood([stream], { size: 8, clock: ticking() })
  flood.start()
  const before = stream.writes
  assert.ok(before > 0)
  await turn()
  await turn()
  assert.ok(stream.writes > before)
  flood.stop()
  assert.equal(await flood.ended, stream.writes)
})

test('a flood whose stream drains before the event loop turns lets it turn too', async () => {
  const { Flood } = await load
  const stream = new FakeStream(1, () => process.nextTick(() => stream.drain(1)))
  const flood = new Flood([stream], { size: 8, clock: ticking() })
  flood.start()
  await turn()
  flood.stop()
  assert.equal(await flood.ended, stream.writes)
})

test('a stream that drains inside write() goes on', async () => {
  const { Flood } = await load
  const stream = new FakeStream(1, () => stream.emit('drain'))
  const flood = new Flood([stream], { size: 8, limit: 5, clock: STANDING })
  flood.start()
  assert.equal(await flood.ended, 5)
})

test('a paced flood writes what it has credit for, whatever write() returns', async () => {
  const { Flood, pacedMessages } = await load
  const stream = new FakeStream(0)
  const flood = new Flood([stream], { size: 65536, isPaced: true, clock: ticking() })
  const first = pacedMessages(65536)
  const until = async (writes) => { while (stream.writes < writes) await turn() }
  flood.start()
  await until(first)
  await turn()
  assert.equal(stream.writes, first)
  flood.credit(10)
  await until(first + 10)
  await turn()
  assert.equal(stream.writes, first + 10)
})

test('a flood with a limit ends by itself', async () => {
  const { Flood } = await load
  const stream = new FakeStream()
  const flood = new Flood([stream], { size: 8, limit: 100, clock: ticking() })
  flood.start()
  assert.equal(await flood.ended, 100)
  assert.deepEqual([stream.writes, stream.hasEnded], [100, true])
})

test('a receiver takes what was sent in any pieces, and checks it', async () => {
  const { Drink } = await load
  const { payload } = await loadPattern
  const sent = Buffer.concat(Array(300).fill(payload(100, 7)))
  for (const piece of [1, 99, 100, 101, 65536]) {
    for (const isTrusted of [false, true]) {
      const stream = new EventEmitter()
      const drink = new Drink({ size: 100, streams: 1, isExact: false })
      drink.add(stream)
      if (isTrusted) drink.trust()
      for (let at = 0; at < sent.length; at += piece) stream.emit('data', new Uint8Array(sent.subarray(at, at + piece)))
      stream.emit('end')
      await drink.ended
      drink.check(300)
      assert.equal(drink.events, Math.ceil(sent.length / piece))
    }
  }
})

test('a receiver notices what is lost, changed, cut or in the wrong stream', async () => {
  const { Drink } = await load
  const { payload } = await loadPattern
  const receive = async ({ isExact = false, isTrusted = false, sent = 2 }, ...streams) => {
    const drink = new Drink({ size: 8, streams: streams.length, isExact })
    if (isTrusted) drink.trust()
    for (const pieces of streams) {
      const stream = new EventEmitter()
      drink.add(stream)
      for (const piece of pieces) stream.emit('data', piece)
      stream.emit('end')
    }
    await drink.ended
    drink.check(sent)
  }
  const [zero, one] = [payload(8, 0), payload(8, 1)]
  const changed = Buffer.from(zero)
  changed[4] = 99
  await receive({ isExact: true }, [zero], [one])
  await assert.rejects(receive({}, [zero]), /8 of 16 bytes arrived/)
  await assert.rejects(receive({ sent: 1 }, [zero, zero]), /16 of 8 bytes arrived/)
  await assert.rejects(receive({}, [zero, changed]), /bytes changed before byte 16/)
  await assert.rejects(receive({}, [zero, one]), /wrong bytes 8 to 15/)
  await assert.rejects(receive({}, [zero], [zero]), /two streams carried the same messages/)
  await assert.rejects(receive({ isExact: true }, [Buffer.concat([zero, zero])]), /of 8 bytes arrived as one of 16/)
  await assert.rejects(receive({ isExact: true }, [zero, Buffer.alloc(0), zero]), /arrived as one of 0/)
  // What the edges show is seen without comparing every byte.
  await assert.rejects(receive({}, [zero, zero.subarray(0, 7), zero]), /wrong bytes/)
})

test('a receiver that paces gives back every message once', async () => {
  const { Drink, pacedMessages } = await load
  const { payload } = await loadPattern
  const size = 65536
  let credit = 0
  const stream = new EventEmitter()
  const drink = new Drink({ size, streams: 1, isExact: false, pace: (messages) => { credit += messages } })
  drink.add(stream)
  const count = pacedMessages(size) * 2
  for (let index = 0; index < count; index++) {
    stream.emit('data', payload(size).subarray(0, 1000))
    stream.emit('data', payload(size).subarray(1000))
  }
  assert.equal(credit, count)
})
