'use strict'

// A stream where Node asks for a socket: its timer on a clock of the test's own, and what Node builds on it.

const test = require('node:test')
const assert = require('node:assert/strict')
const { acceptor, creator } = require('./support/qmux.js')
const { peers } = require('../lib/boundary.js')
const { clock } = require('./support/clock.js')

// Notes when 'timeout' is emitted.
function watch (t, stream) {
  const { advance, now } = clock(t)
  const fired = []
  stream.on('timeout', () => fired.push(now()))
  return { advance, fired }
}

test('refuses what is no time', () => {
  const { stream } = acceptor()
  const refused = { code: 'ERR_MUX_INVALID_ARG' }
  for (const ms of [-1, NaN, '5', undefined]) assert.throws(() => stream.setTimeout(ms), refused)
  assert.throws(() => stream.setTimeout(5, 'x'), refused)
  assert.equal(stream.timeout, 0)
})

test('timeout comes so long after the last write or the last data, by a quarter late at most', (t) => {
  for (const make of [acceptor, creator]) {
    const { stream, deliver } = make()
    stream.resume()
    const { advance, fired } = watch(t, stream)
    assert.equal(stream.setTimeout(200), stream)
    assert.equal(stream.timeout, 200)
    advance(110)
    stream.write('x')
    advance(110)
    deliver('y')
    advance(179)
    assert.deepEqual(fired, [])
    advance(71)
    assert.equal(fired.length, 1)
    // It is over until something moves again.
    advance(1000)
    assert.equal(fired.length, 1)
    deliver('z')
    advance(250)
    assert.equal(fired.length, 2)
    stream.setTimeout(0)
    stream.write('x')
    advance(1000)
    assert.equal(fired.length, 2)
    t.mock.restoreAll()
  }
})

test('what leaves the connection counts while the stream waits for a drain', (t) => {
  const { stream, fake, con } = creator()
  const { advance, fired } = watch(t, stream)
  fake.counts = { read: 0, written: 0, queued: 0, peer: peers.UNDECIDED }
  con._queue.bytes = con._queue.highWater
  assert.equal(stream.write('x'), false)
  stream.setTimeout(200)
  advance(150)
  fake.counts = { read: 0, written: 50, queued: 0, peer: peers.UNDECIDED }
  advance(190)
  assert.deepEqual(fired, [])
  advance(200)
  assert.equal(fired.length, 1)
  stream.setTimeout(0)
})

test('the listener given is called once, and is gone when 0 switches the timer off', (t) => {
  const { stream } = acceptor()
  const { advance } = watch(t, stream)
  let calls = 0
  const listener = () => calls++
  stream.setTimeout(100, listener)
  advance(100)
  stream.write('x')
  advance(200)
  assert.equal(calls, 1)
  stream.setTimeout(100, listener)
  stream.setTimeout(0, listener)
  advance(1000)
  assert.equal(calls, 1)
})

test('where it is off, or is switched off, the stream is as it was', () => {
  const { stream } = acceptor()
  const names = () => Object.getOwnPropertyNames(stream).filter((name) => typeof stream[name] === 'function')
  const before = names()
  const listeners = stream.listenerCount('close')
  const own = () => true
  stream.setTimeout(50)
  assert.notEqual(stream.write, Object.getPrototypeOf(stream).write)
  stream.setTimeout(60).setTimeout(0)
  assert.deepEqual(names(), before)
  assert.equal(stream.listenerCount('close'), listeners)
  // A method that a program put in front stays.
  stream.setTimeout(50)
  stream.write = own
  stream.setTimeout(0)
  assert.equal(stream.write, own)
  stream.setTimeout(50).setTimeout(0)
  assert.equal(stream.write, own)
})

test('the timer ends with the stream, and a destroyed one starts none', async (t) => {
  const { stream } = acceptor()
  const { fired, advance } = watch(t, stream)
  stream.setTimeout(100)
  const closed = new Promise((resolve) => stream.once('close', resolve))
  stream.destroy()
  await closed
  assert.equal(stream.timeout, 0)
  stream.setTimeout(100)
  assert.equal(stream.timeout, 0)
  advance(1000)
  assert.deepEqual(fired, [])
})

test('what concerns the connection is left to it', () => {
  const { stream, fake } = acceptor()
  const calls = fake.calls.length
  assert.equal(stream.setNoDelay(false).setKeepAlive(true, 1000).ref().unref(), stream)
  assert.equal(fake.calls.length, calls)
})

test('all streams say that they deliver bytes', () => {
  for (const make of [acceptor, creator]) {
    const { stream } = make()
    assert.equal(stream.readableObjectMode, false)
    assert.ok(stream.readableHighWaterMark >= 16 * 1024)
  }
})
