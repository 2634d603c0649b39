'use strict'

// Flow control of a stream on QMux against a fake native side: what it tells of held bytes, and when it may be written.

const test = require('node:test')
const assert = require('node:assert/strict')
const { Readable, Writable } = require('node:stream')
const { WHOLE, op } = require('../lib/boundary.js')
const { acceptor, connection, creator, kind, log } = require('./support/qmux.js')
const engine = require('../lib/engine.js')
const { turn } = require('./support/events.js')

async function turns (count = 4) {
  for (let index = 0; index < count; index++) await turn()
}

// So much was sent that the pump lets other I/O run behind its next record: what comes then is delivered a turn later.
async function rested (side) {
  side.deliver('last')
  await turns()
}

test.beforeEach(() => turns())

// What native code believes to be held.
function ledger (side) {
  let held = 0
  return () => {
    for (const { op: code, argument, stream } of side.sent()) {
      if (code !== op.HOLD && code !== op.RELEASE) continue
      assert.equal(stream, side.handle)
      held += code === op.HOLD ? argument : -argument
      assert.ok(held >= 0)
    }
    return held
  }
}

// ---- in ----

test('the answer to CREDIT stands behind what is held of all that came before it', () => {
  const { stream, deliver, record, tell, said } = acceptor()
  said()
  deliver('abc')
  record(kind.CREDIT)
  assert.deepEqual(said(), ['HOLD 131', 'CREDIT'])
  stream.pause()
  deliver('d')
  tell(kind.CREDIT, WHOLE)
  stream.on('data', () => {})
  assert.deepEqual(said(), ['HOLD 129', 'CREDIT'])
})

test('CREDIT is answered with its own handle, though the stream is gone', () => {
  const { tell, sent } = connection()
  for (const handle of [0, 7, WHOLE]) tell(kind.CREDIT, handle)
  assert.deepEqual(sent(op.CREDIT).map(({ stream }) => stream), [0, 7, WHOLE])
})

test('a flowing stream holds nothing', () => {
  const { stream, deliver, said } = creator()
  const seen = log(stream, 'data')
  deliver('a', 'b')
  assert.deepEqual([seen, said()], [['data a', 'data b'], []])
})

test('unclaimed data is held without limit, and released as it is read', async () => {
  for (const make of [acceptor, creator]) {
    const side = make({ unclaimedLimit: 10 })
    const held = ledger(side)
    side.deliver(...Array.from({ length: 100 }, () => 'x'.repeat(10)))
    await turns() // other work has its turn in between
    assert.equal(held(), 100 * 138)
    side.stream.pause()
    assert.equal(held(), 100 * 138)
    for (let left = 99; left >= 0; left--) {
      assert.equal(side.stream.read().length, 10)
      assert.equal(held(), left * 138)
    }
    assert.equal(side.con.stats().discardedStreams, 0)
    await rested(side)
  }
})

test('unclaimed data is decoded when it is claimed, and counts right', async () => {
  const side = acceptor()
  const held = ledger(side)
  const euro = Buffer.from('€')
  side.deliver('a', euro.subarray(0, 1), euro.subarray(1), 'b')
  side.stream.setEncoding('utf8')
  const seen = log(side.stream, 'data')
  await turns()
  assert.deepEqual(seen, ['data a', 'data €', 'data b'])
  assert.equal(held(), 0)
})

test('whatever reads it, all is released in the end', async () => {
  for (const read of [
    (stream) => stream.destroy(),
    (stream) => stream.stopSending(),
    (stream) => stream.on('data', () => {}),
    (stream) => stream.pipe(new Writable({ write (chunk, _, done) { setImmediate(done) } })),
    async (stream) => { for await (const chunk of stream) assert.ok(chunk) },
    (stream) => stream.on('end', () => {})
  ]) {
    for (const paused of [false, true]) {
      const side = acceptor()
      const held = ledger(side)
      if (paused) side.stream.pause()
      side.deliver('one', 'two', 'three')
      await turns(1)
      assert.equal(held(), 3 * 128 + 11)
      if (paused) side.stream.resume()
      read(side.stream)
      side.end()
      await turns(10)
      assert.equal(held(), 0)
      await rested(side)
    }
  }
})

test('a closed stream keeps its handle until its reader has read it', async () => {
  for (const make of [acceptor, creator]) {
    const side = make()
    side.stream.pause()
    side.deliver('one', 'two')
    side.stream.end()
    side.end()
    side.said()
    side.record(kind.CLOSED)
    assert.deepEqual(side.said(), [])
    const reused = () => {
      side.con.StreamPool.createStream('next')
      return side.sent(op.OPEN)[0].stream === side.handle
    }
    if (make === creator) assert.equal(reused(), false)
    const seen = log(side.stream, 'data', 'end', 'close')
    side.stream.read()
    assert.deepEqual(side.said(), ['RELEASE 131'])
    side.stream.resume()
    await turns()
    assert.deepEqual(seen, ['data one', 'data two', 'end', 'close'])
    assert.deepEqual(side.said(), make === acceptor ? ['RELEASE 131', 'FORGET'] : ['RELEASE 131'])
    if (make === creator) assert.equal(reused(), true)
  }
})

test('a closed stream that is destroyed unread gives its handle back', () => {
  const { stream, deliver, end, record, said } = acceptor()
  stream.pause()
  deliver('x')
  stream.end()
  end('"' + 'v'.repeat(5000) + '"')
  record(kind.CLOSED)
  said()
  stream.destroy()
  assert.deepEqual(said(), ['RELEASE 129', 'RELEASE 5002', 'FORGET'])
})

test('a large end value of a paused stream is held until it is emitted, also when the stream has closed', async () => {
  const { stream, end, record, said } = acceptor()
  stream.pause()
  stream.end()
  said()
  end('"' + 'v'.repeat(5000) + '"')
  record(kind.CLOSED)
  assert.deepEqual(said(), ['HOLD 5002'])
  const seen = log(stream, 'end')
  stream.resume()
  await turns()
  assert.equal(seen.length, 1)
  assert.deepEqual(said(), ['RELEASE 5002', 'FORGET'])
})

test('small chunks of an unclaimed stream do not keep their slabs', () => {
  const { stream, deliver } = acceptor()
  deliver('small', 'x'.repeat(2000))
  stream.pause()
  for (const length of [5, 2000]) {
    const chunk = stream.read()
    assert.equal(chunk.length, length)
    assert.ok(chunk.buffer.byteLength <= 4096)
  }
})

test('a stream created with messages: false joins what waits, and releases by its bytes', async () => {
  const side = creator({}, { messages: false })
  const held = ledger(side)
  side.stream.pause()
  side.deliver('abc', 'defg', '', 'h')
  assert.equal(held(), 4 * 128 + 8)
  assert.equal(String(side.stream.read(5)), 'abcde')
  assert.equal(held(), 3 * 128 + 5)
  assert.equal(String(side.stream.read()), 'fgh')
  assert.equal(held(), 0)
})

test('many chunks are released one by one, and none is forgotten', async () => {
  const side = acceptor()
  const held = ledger(side)
  side.stream.pause()
  for (let index = 0; index < 1000; index++) side.deliver('x')
  while (held() < 1000 * 129) await turns(1)
  for (let index = 0; index < 1000; index++) {
    side.stream.read()
    assert.equal(held(), (999 - index) * 129)
  }
  await rested(side)
})

// ---- out ----

test('a blocked stream says false, its neighbours do not, and drain comes with UNBLOCKED', async () => {
  const { con, stream, handle, fake, number, record, sent, tell } = creator({ writableHighWaterMark: 1000 })
  let other
  con.StreamPool.createStream('other', (opened) => { other = opened })
  sent()
  tell(kind.OPENED, 2, '', 8)
  const seen = log(stream, 'drain')
  assert.equal(stream.write(Buffer.from('a')), true)
  record(kind.BLOCKED)
  assert.equal(stream.writableNeedDrain, false)
  assert.equal(stream.write(Buffer.alloc(5000)), false)
  assert.equal(stream.write('text'), false)
  assert.equal(stream.writableNeedDrain, true)
  assert.equal(other.write(Buffer.from('b')), true)
  assert.equal(sent(op.DATA).filter((each) => each.stream === handle).length, 3)
  await turns()
  fake.push(kind.DRAIN, number)
  fake.wake()
  assert.deepEqual(seen, [])
  record(kind.UNBLOCKED)
  assert.deepEqual(seen, ['drain'])
  assert.equal(stream.writableNeedDrain, false)
  assert.equal(stream.write(Buffer.from('c')), true)
})

test('UNBLOCKED owes no drain to who was not told to wait, and says nothing twice', () => {
  const { stream, record } = creator()
  const seen = log(stream, 'drain')
  record(kind.BLOCKED)
  record(kind.UNBLOCKED)
  record(kind.UNBLOCKED)
  assert.deepEqual(seen, [])
})

test('a stream that waits for the connection and for its credit gets one drain, when it has both', async () => {
  for (const creditFirst of [true, false]) {
    const { stream, fake, number, record } = creator({ writableHighWaterMark: 1000 })
    const seen = log(stream, 'drain')
    assert.equal(stream.write(Buffer.alloc(1000)), false) // the connection is full
    fake.queued.set(number, 1000)
    engine.flush()
    record(kind.BLOCKED)
    assert.equal(stream.write(Buffer.alloc(10)), false)
    engine.flush()
    const drain = () => {
      fake.queued.set(number, 0)
      fake.push(kind.DRAIN, number)
      fake.wake()
    }
    const first = creditFirst ? () => record(kind.UNBLOCKED) : drain
    const second = creditFirst ? drain : () => record(kind.UNBLOCKED)
    first()
    await turns()
    assert.deepEqual(seen, [])
    second()
    await turns()
    assert.deepEqual(seen, ['drain'])
  }
})

test('one drain is one, though credit came and went while the connection was full', async () => {
  const { stream, fake, number, record } = creator({ writableHighWaterMark: 1000 })
  const seen = log(stream, 'drain')
  fake.queued.set(number, 5000)
  for (let round = 0; round < 3; round++) {
    stream.write(Buffer.alloc(1000))
    engine.flush()
    record(kind.BLOCKED)
    stream.write(Buffer.alloc(1000))
    record(kind.UNBLOCKED)
  }
  stream.on('drain', () => {
    fake.queued.set(number, 5000)
    stream.write(Buffer.alloc(1000))
  })
  fake.queued.set(number, 0)
  fake.push(kind.DRAIN, number)
  fake.wake()
  await turns()
  assert.deepEqual(seen, ['drain'])
})

test('what is written to a blocked stream does not fill the connection', () => {
  const { con, stream, record, fake, number } = creator({ writableHighWaterMark: 1000 })
  record(kind.BLOCKED)
  for (let count = 0; count < 10; count++) stream.write(Buffer.alloc(1000))
  assert.equal(con._queue.bytes, 0)
  fake.queued.set(number, 0)
  engine.flush()
})

test('a blocked acceptor counts as written', async () => {
  const { stream, record, end, said } = acceptor()
  record(kind.BLOCKED)
  assert.equal(stream.write(Buffer.from('x')), false)
  end()
  await turns()
  assert.deepEqual(said(), ['ACCEPT', 'DATA x'])
})

test('a pipe into a blocked stream stands still until the credit is there', async () => {
  const { stream, record, said } = creator()
  record(kind.BLOCKED)
  const source = Readable.from(['a', 'b', 'c'].map(Buffer.from))
  source.pipe(stream)
  await turns()
  assert.deepEqual(said(), ['DATA a'])
  record(kind.UNBLOCKED)
  await turns()
  assert.deepEqual(said(), ['DATA b', 'DATA c', 'END'])
})

test('an end behind a block is sent and finishes when it has left', async () => {
  const { stream, record, said, tell, sent } = creator()
  const seen = log(stream, 'finish')
  record(kind.BLOCKED)
  stream.write(Buffer.from('x'))
  stream.end()
  const [, , mark] = sent()
  await turns()
  assert.deepEqual(seen, [])
  record(kind.UNBLOCKED)
  tell(kind.MARK, 0, '', mark.argument)
  await turns()
  assert.deepEqual(seen, ['finish'])
  assert.deepEqual(said(), [])
})
