'use strict'

// The pump against a fake native side: what is flushed when, and what happens to a batch when a listener throws.

const test = require('node:test')
const assert = require('node:assert/strict')
const { Engine, uncaught } = require('./support/fake-engine.js')
const { kind, op } = require('../lib/boundary.js')
const engine = require('../lib/engine.js')
const { turn } = require('./support/events.js')

engine.start()
const fake = Engine.last

// The pump rests for a turn after a throw and after much work: each test finds it rested.
test.beforeEach(async () => {
  fake.workOf = 64
  fake.recordsAtOnce = Infinity
  for (let count = 0; count < 5; count++) await turn()
})

// A registered connection that notes what the engine tells it.
let numbers = 0
function listener (overrides = {}) {
  const number = numbers++
  const seen = []
  const stream = { _data: (offset, length) => seen.push(String(engine.cut(offset, length))) }
  const connection = {
    number,
    seen,
    queued: [],
    drains: 0,
    _stream: () => stream,
    _record: (kind, handle) => seen.push(`${kind}:${handle}`),
    _flushed (queued) { this.queued.push(queued) },
    _drained () { this.drains++ },
    ...overrides
  }
  engine.register(number, connection)
  return connection
}

test('starting twice makes one native engine', () => {
  engine.start()
  assert.equal(Engine.last, fake)
})

test('commands of one turn leave in one flush, in its next tick', async () => {
  const { number, queued } = listener()
  const before = fake.flushes
  fake.queued.set(number, 77)
  engine.data(number, 4, Buffer.from('hello'))
  engine.put(op.MARK, number, 0, 9)
  assert.equal(fake.flushes, before)
  await null
  await turn()
  assert.equal(fake.flushes, before + 1)
  const [data, mark] = fake.take()
  assert.deepEqual([data.op, data.conn, data.stream, String(data.payload)], [op.DATA, number, 4, 'hello'])
  assert.deepEqual([mark.op, mark.argument], [op.MARK, 9])
  assert.deepEqual(queued, [77])
})

test('payloads of every length are encoded as they are', () => {
  const { number } = listener()
  const bytes = Buffer.from(Array.from({ length: 100 }, (_, index) => index))
  for (let length = 0; length <= 100; length++) engine.data(number, 2, bytes.subarray(0, length))
  engine.flush()
  const expected = Array.from({ length: 101 }, (_, length) => bytes.subarray(0, length))
  assert.deepEqual(fake.take(op.DATA).map(({ payload }) => payload), expected)
})

test('a write is cut into pieces of at most 64 KiB', () => {
  const { number } = listener()
  const bytes = Buffer.alloc(200_000)
  for (let index = 0; index < bytes.length; index += 4) bytes.writeUInt32LE(index, index)
  engine.data(number, 2, bytes)
  engine.flush()
  const sent = fake.take(op.DATA)
  assert.deepEqual(sent.map(({ argument }) => argument), [65536, 65536, 65536, 3392])
  assert.ok(Buffer.concat(sent.map(({ payload }) => payload)).equals(bytes))
})

test('strings are encoded in place, in every encoding, and long ones too', () => {
  const { number } = listener()
  for (const [text, encoding] of [['äöü€😀', 'utf8'], ['ÿa', 'latin1'], ['€', 'utf16le'], ['68690a', 'hex'],
    ['aGk=', 'base64'], ['', 'utf8'], ['€'.repeat(50_000), 'utf8']]) {
    const length = engine.string(number, 2, text, encoding)
    engine.flush()
    const sent = Buffer.concat(fake.take(op.DATA).map(({ payload }) => payload))
    assert.ok(sent.equals(Buffer.from(text, encoding)), encoding)
    assert.equal(length, sent.length)
  }
})

test('a JSON text of four MiB goes in one piece', () => {
  const { number } = listener()
  const json = JSON.stringify('é'.repeat(2 * 1024 * 1024 - 1))
  assert.equal(engine.text(op.OPEN, number, 0, json), 4 * 1024 * 1024)
  engine.flush()
  const [open] = fake.take(op.OPEN)
  assert.equal(String(open.payload), json)
})

test('a buffer that fills up in mid-turn is flushed, and what is queued is told when the turn is over', async () => {
  const connection = listener()
  const before = fake.flushes
  fake.queued.set(connection.number, 5)
  for (let count = 0; count < 50; count++) engine.data(connection.number, 2, Buffer.alloc(8000))
  assert.ok(fake.flushes > before)
  assert.deepEqual(connection.queued, [])
  await null
  await turn()
  assert.ok(connection.queued.length > 0)
  assert.equal(fake.take(op.DATA).length, 50)
})

test('records arrive in order, data beside others', () => {
  const { number, seen } = listener()
  fake.push(kind.DATA, number, 3, 'one')
  fake.push(kind.DATA, number, 3, 'two')
  fake.push(kind.CLOSED, number, 3)
  fake.push(kind.DATA, number, 3, '')
  fake.wake()
  assert.deepEqual(seen, ['one', 'two', '6:3', ''])
})

test('a record too large for the rest of the slab gets one of its own', () => {
  const { number, seen } = listener()
  for (const length of [10, 100_000, 65536, 3, 2_000_000]) fake.push(kind.DATA, number, 3, Buffer.alloc(length, 97))
  fake.wake()
  assert.deepEqual(seen.map(({ length }) => length), [10, 100_000, 65536, 3, 2_000_000])
})

test('what a listener throws is uncaught, the rest of its batch follows in the next turn, nothing twice', async () => {
  const errors = uncaught()
  const seen = []
  const { number } = listener({
    _stream: () => ({
      _data (offset, length) {
        const text = String(engine.cut(offset, length))
        seen.push(text)
        if (Number(text) % 3 === 0) throw new Error(`no ${text}`)
      }
    })
  })
  for (let index = 0; index < 10; index++) fake.push(kind.DATA, number, 3, String(index))
  assert.throws(() => fake.wake(), /no 0/)
  // What comes meanwhile waits for its turn.
  fake.push(kind.DATA, number, 3, '10')
  fake.wake()
  assert.deepEqual(seen, ['0'])
  for (let count = 0; count < 8; count++) await turn()
  errors.stop()
  assert.deepEqual(seen, Array.from({ length: 11 }, (_, index) => String(index)))
  assert.deepEqual(errors.map(({ message }) => message), ['no 3', 'no 6', 'no 9'])
})

test('what was encoded before a throw is flushed all the same', () => {
  const { number } = listener({
    _record () {
      engine.put(op.ACCEPT, number, 3, 0)
      throw new Error('after the answer')
    }
  })
  fake.push(kind.STREAM, number, 3)
  assert.throws(() => fake.wake(), /after the answer/)
  assert.equal(fake.take(op.ACCEPT).length, 1)
})

test('a callback ends after a mebibyte of work, and other I/O has its turn before the next', async () => {
  const { number, seen } = listener()
  for (let index = 0; index < 40; index++) fake.push(kind.DATA, number, 3, Buffer.alloc(65536, 97))
  fake.wake()
  const first = seen.length
  assert.ok(first >= 16 && first < 40, `${first} of 40`)
  // A signal meanwhile is not lost, and does not jump the queue.
  fake.push(kind.DATA, number, 3, 'last')
  fake.wake()
  assert.equal(seen.length, first)
  for (let count = 0; count < 4; count++) await turn()
  assert.equal(seen.length, 41)
  assert.equal(seen[40], 'last')
})

test('native code knows what a record costs, and other I/O has its turn after so much', async () => {
  const { number, seen } = listener()
  for (let index = 0; index < 3; index++) fake.push(kind.DATA, number, 3, 'dear')
  fake.workOf = 1024 * 1024
  fake.recordsAtOnce = 1
  fake.wake()
  assert.equal(seen.length, 1)
  await turn()
  assert.equal(seen.length, 2)
  fake.workOf = 64
  await turn()
  assert.equal(seen.length, 3)
})

test('a call of the system for each connection that is answered counts as work, too', async () => {
  const others = Array.from({ length: 70 }, () => listener().number)
  let calls = 0
  const { number } = listener({
    _stream: () => ({
      _data () {
        calls++
        for (const other of others) engine.data(other, 2, Buffer.from('answer'))
      }
    })
  })
  fake.recordsAtOnce = 1
  for (let count = 0; count < 2; count++) fake.push(kind.DATA, number, 3, 'ask')
  fake.wake()
  assert.equal(calls, 1)
  await turn()
  assert.equal(calls, 2)
  fake.take()
})

test('what is sent counts as work, too', async () => {
  const { number, seen } = listener()
  for (let count = 0; count < 20; count++) engine.data(number, 2, Buffer.alloc(60_000))
  engine.flush()
  for (let count = 0; count < 2; count++) fake.push(kind.DATA, number, 3, Buffer.alloc(65536, 97))
  fake.wake()
  assert.equal(seen.length, 1)
  await turn()
  assert.equal(seen.length, 2)
  fake.take()
})

test('answers leave after each batch', () => {
  const flushes = []
  const { number } = listener({
    _stream: () => ({
      _data () {
        flushes.push(fake.flushes)
        engine.put(op.HOLD, number, 3, 1)
      }
    })
  })
  for (let index = 0; index < 4; index++) fake.push(kind.DATA, number, 3, Buffer.alloc(60_000))
  fake.wake()
  assert.deepEqual([...new Set(flushes)].length, 4)
  fake.take()
})

test('bytes that were handed out are never written again', () => {
  const chunks = []
  const { number } = listener({
    _stream: () => ({ _data: (offset, length) => chunks.push(engine.cut(offset, length)) })
  })
  for (let round = 0; round < 300; round++) {
    const length = 1 + round * 7 % 900
    for (let index = 0; index < 5; index++) fake.push(kind.DATA, number, 3, Buffer.alloc(length, round * 5 + index))
    fake.wake()
  }
  chunks.forEach((chunk, index) => assert.ok(chunk.every((byte) => byte === index % 256), `chunk ${index}`))
})

test('tiny batches share a slab', () => {
  const chunks = []
  const { number } = listener({
    _stream: () => ({ _data: (offset, length) => chunks.push(engine.cut(offset, length)) })
  })
  for (let round = 0; round < 100; round++) {
    fake.push(kind.DATA, number, 3, 'x')
    fake.wake()
  }
  assert.ok(new Set(chunks.map(({ buffer }) => buffer)).size <= 2)
})

test('one message held of each mebibyte received pins no more than 64 KiB', async () => {
  const seen = []
  const { number } = listener({
    _stream: () => ({ _data: (offset, length) => seen.push(length === 64 && engine.cut(offset, length)) })
  })
  for (let index = 0; index < 20; index++) {
    for (let count = 0; count < 16; count++) fake.push(kind.DATA, number, 3, Buffer.alloc(65536))
    fake.push(kind.DATA, number, 3, Buffer.alloc(64, index))
    fake.wake()
    for (let count = 0; count < 4; count++) await turn()
  }
  const held = seen.filter(Boolean)
  assert.equal(held.length, 20)
  const pinned = [...new Set(held.map(({ buffer }) => buffer))].reduce((sum, { byteLength }) => sum + byteLength, 0)
  assert.ok(pinned <= 20 * 65536, `${pinned} bytes`)
})

test('shared memory cannot be transferred away', () => {
  const { port1, port2 } = new MessageChannel()
  let chunk
  const { number } = listener({
    _stream: () => ({ _data (offset, length) { chunk = engine.cut(offset, length) } })
  })
  fake.push(kind.DATA, number, 3, 'keep')
  fake.wake()
  try {
    port1.postMessage(chunk, [chunk.buffer])
  } catch {} // an error from Node 21 on; ignored before
  assert.equal(String(chunk), 'keep')
  port1.close()
  port2.close()
})

test('an unknown connection is ignored, its end frees its number, one accepted for no server is closed', () => {
  fake.calls.length = 0
  fake.push(kind.DATA, 999, 3, 'nobody')
  fake.push(kind.CLOSED, 999, 3)
  fake.push(kind.CONN_CLOSE, 999)
  fake.push(kind.CONNECTION, 998, 77, '{}')
  fake.wake()
  assert.deepEqual(fake.calls, [['release', 999], ['destroy', 998, false]])
})

test('forgetting a connection flushes what names it first', () => {
  const { number } = listener()
  fake.calls.length = 0
  engine.put(op.ACCEPT, number, 1, 0)
  engine.forget(number)
  assert.equal(fake.take(op.ACCEPT).length, 1)
  assert.deepEqual(fake.calls, [['release', number]])
})

test('drains are emitted in a later turn, once, and a listener that throws keeps nobody from theirs', async () => {
  const errors = uncaught()
  const first = listener({ _drained () { throw new Error('first') } })
  const second = listener()
  engine.drainSoon(first)
  engine.drainSoon(second)
  engine.drainSoon(second)
  assert.equal(second.drains, 0)
  await turn()
  await turn()
  errors.stop()
  assert.equal(second.drains, 1)
  assert.deepEqual(errors.map(({ message }) => message), ['first'])
})

test('the loop is held by the first reason and let go with the last', () => {
  fake.calls.length = 0
  engine.ref()
  engine.ref()
  engine.unref()
  assert.deepEqual(fake.calls, [['setRef', true]])
  engine.unref()
  assert.deepEqual(fake.calls, [['setRef', true], ['setRef', false]])
})

test('a full batch that left nothing is not asked about again', async () => {
  const { number, seen } = listener()
  const { drain } = Engine.prototype
  let drains = 0
  fake.drain = function (...args) {
    drains++
    return drain.apply(this, args)
  }
  for (let count = 0; count < 4096; count++) fake.push(kind.DATA, number, 0, '')
  fake.wake()
  // Were it to ask again, it might do so in a later turn.
  for (let count = 0; count < 3; count++) await turn()
  delete fake.drain
  assert.deepEqual([seen.length, drains], [4096, 1])
})

test('data counts as traffic of its connection, once per batch', () => {
  let traffic = 0
  const { number } = listener({ _idle: { refresh: () => traffic++ } })
  for (let batch = 1; batch <= 2; batch++) {
    for (let count = 0; count < 10; count++) fake.push(kind.DATA, number, 0, 'x')
    fake.wake()
    assert.equal(traffic, batch)
  }
})

test('slabs are lent when long reads ask for them, and replaced once their records are taken', async () => {
  const chunks = []
  const connection = listener({ _stream: () => ({ _data: (offset, length) => chunks.push(engine.cut(offset, length)) }) })
  fake.isShort = true
  fake.push(kind.DATA, connection.number, 2, 'copied')
  fake.wake()
  assert.equal(fake.lent.size, 24)
  const first = fake.lent.get(3)
  fake.inLent = { number: 3, conn: connection.number, stream: 2, payloads: ['one', 'two'], isLast: false }
  fake.wake()
  assert.equal(fake.lent.get(3), first, 'more of it is to come')
  fake.inLent = { number: 3, conn: connection.number, stream: 2, payloads: ['one', 'two'], isLast: true }
  fake.push(kind.DATA, connection.number, 2, 'copied again')
  fake.wake()
  assert.notEqual(fake.lent.get(3), first, 'never lent again')
  assert.equal(fake.lent.size, 24)
  assert.deepEqual(chunks.map(String), ['copied', 'one', 'two', 'one', 'two', 'copied again'])
  assert.equal(chunks[3].buffer, first.buffer)
  assert.notEqual(chunks[5].buffer, first.buffer)
})

test('long messages keep their place among short ones and commands', async () => {
  const connection = listener()
  fake.take()
  engine.data(connection.number, 0, Buffer.from('short'))
  engine.data(connection.number, 0, Buffer.alloc(70_000, 'l'))
  engine.put(op.END, connection.number, 0, 0)
  engine.flush()
  const sent = fake.take().map(({ op, argument }) => [op, argument])
  assert.deepEqual(sent, [[op.DATA, 5], [op.DATA, 65_536], [op.DATA, 4464], [op.END, 0]])
})
