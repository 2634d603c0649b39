'use strict'

// setTimeout() of a connection, on a clock of the test's own.

const test = require('node:test')
const assert = require('node:assert/strict')
const { connected } = require('./support/fake-engine.js')
const { kind, peers } = require('../lib/boundary.js')
const { clock } = require('./support/clock.js')
const engine = require('../lib/engine.js')
const { nextEvent } = require('./support/events.js')

test('refuses what is no time', () => {
  const { con } = connected()
  for (const ms of [-1, NaN, '5', undefined]) assert.throws(() => con.setTimeout(ms), { code: 'ERR_MUX_INVALID_ARG' })
  assert.throws(() => con.setTimeout(5, 'x'), { code: 'ERR_MUX_INVALID_ARG' })
  assert.equal(con.timeout, 0)
})

test('emits timeout without traffic, closes nothing, and does not hold the process', async () => {
  const { con } = connected()
  // The timer itself does not keep the loop alive: something else has to.
  const alive = setInterval(() => {}, 1000)
  assert.equal(con.setTimeout(5), con)
  assert.equal(con.timeout, 5)
  await nextEvent(con, 'timeout')
  clearInterval(alive)
  assert.equal(con.destroyed, false)
})

test('the listener given is called once, and is gone when 0 switches the timer off', () => {
  const { con } = connected()
  const listener = () => {}
  con.setTimeout(1000, listener)
  assert.equal(con.listenerCount('timeout'), 1)
  con.setTimeout(0, listener)
  assert.equal(con.listenerCount('timeout'), 0)
  assert.equal(con._idle, null)
})

test('bytes that moved since count as traffic, though nothing else was seen of them', async () => {
  const { con, fake } = connected()
  const alive = setInterval(() => {}, 1000)
  fake.counts = { read: 0, written: 1000, queued: 1000, peer: peers.UNDECIDED }
  let looks = 0
  const stats = fake.stats
  fake.stats = () => {
    looks++
    // The queue drains through the first three looks.
    fake.counts = { read: 0, written: 1000, queued: Math.max(0, 1000 - 300 * looks), peer: peers.UNDECIDED }
    return stats.call(fake)
  }
  con.setTimeout(3)
  await nextEvent(con, 'timeout')
  clearInterval(alive)
  delete fake.stats
  con.setTimeout(0)
  assert.ok(looks > 4, `${looks} looks`)
})

test('records and flushes refresh the timer', () => {
  const { con, fake, number } = connected()
  con.setTimeout(60_000)
  let refreshed = 0
  con._idle.refresh = () => refreshed++
  fake.push(kind.PEER, number, 0, '', 1)
  fake.wake()
  assert.equal(refreshed, 1)
  con.StreamPool.createStream(1)
  engine.flush()
  assert.equal(refreshed, 2)
  con.setTimeout(0)
})

test('timeout comes so long after the last traffic, data included, and no later', (t) => {
  const { con, client, fake, number } = connected()
  client.on('stream', (stream) => stream.resume())
  fake.push(kind.STREAM, number, 1, '1', 0)
  fake.wake()
  const { advance, now } = clock(t)
  const fired = []
  con.on('timeout', () => fired.push(now()))
  con.setTimeout(200)
  advance(150)
  fake.counts = { read: 50, written: 20, queued: 0, peer: peers.UNDECIDED }
  fake.push(kind.DATA, number, 1, 'data')
  fake.wake()
  advance(199)
  assert.deepEqual(fired, [])
  advance(1)
  assert.deepEqual(fired, [350])
  // It is over until there is traffic again.
  advance(1000)
  fake.push(kind.DATA, number, 1, 'data')
  fake.wake()
  advance(1000)
  assert.deepEqual(fired, [350, 1550])
  con.setTimeout(0)
})

test('what moved and was not told of is late by a quarter at most', (t) => {
  const { con, fake } = connected()
  fake.counts = { read: 0, written: 0, queued: 0, peer: peers.UNDECIDED } // not those of another test
  const { advance, now } = clock(t)
  const fired = []
  con.on('timeout', () => fired.push(now()))
  con.setTimeout(200)
  advance(110)
  fake.counts = { read: 50, written: 20, queued: 0, peer: peers.UNDECIDED }
  advance(2000)
  assert.deepEqual(fired, [350])
  con.setTimeout(0)
})

test('the timer ends with the connection', () => {
  const { con, fake, number } = connected()
  con.setTimeout(60_000)
  fake.push(kind.CONN_CLOSE, number, 0, '{}')
  fake.wake()
  return nextEvent(con, 'close').then(() => assert.equal(con._idle, null))
})
