'use strict'

// MuxStream against a fake native side: what it encodes, what it delivers, and what it tells about held bytes.

const test = require('node:test')
const assert = require('node:assert/strict')
const { Duplex, Readable, Writable } = require('node:stream')
const { pipeline } = require('node:stream/promises')
const { connected, uncaught } = require('./support/fake-engine.js')
const { kind, op } = require('../lib/boundary.js')
const engine = require('../lib/engine.js')
const { MuxStream } = require('../lib/stream.js')
const { nextEvent, turn } = require('./support/events.js')

const { DATA, STREAM, OPENED, END, MARK } = kind

test.beforeEach(async () => {
  for (let count = 0; count < 3; count++) await turn()
})

// A stream that this end created, acknowledged.
function creator (options) {
  const side = connected(options)
  let stream
  side.con.StreamPool.createStream('meta', (opened) => { stream = opened })
  engine.flush()
  const [{ stream: handle }] = side.fake.take(op.OPEN)
  side.fake.push(OPENED, side.number, handle, '', 255)
  side.fake.wake()
  return { ...side, stream, handle, sent: (code) => { engine.flush(); return side.fake.take(code) } }
}

// A stream that the peer created, given to a listener.
function acceptor (options, listener = () => {}) {
  const side = connected(options)
  let stream
  side.client.on('stream', (announced) => {
    stream = announced
    listener(stream)
  })
  side.fake.push(STREAM, side.number, 1, '{"from":"peer"}', 7)
  side.fake.wake()
  const push = (kind, ...args) => side.fake.push(kind, side.number, 1, ...args)
  const deliver = (...texts) => {
    for (const text of texts) push(DATA, text)
    side.fake.wake()
  }
  const end = (value) => {
    push(END, value, value === undefined ? 0 : 1)
    side.fake.wake()
  }
  side.fake.take()
  return { ...side, stream, push, deliver, end, sent: (code) => { engine.flush(); return side.fake.take(code) } }
}

test('a creator is a Duplex with an id and its meta', () => {
  const { stream } = creator()
  assert.ok(stream instanceof Duplex && stream instanceof MuxStream)
  assert.deepEqual([stream.id, stream.meta, stream.readable, stream.writable], [255, 'meta', true, true])
})

test('write sends bytes as they are and anything else as JSON', () => {
  const { stream, sent } = creator()
  const values = [Buffer.from('b'), new Uint8Array([1, 2]), 'text', 42, null, true, [1], { k: 1 }]
  for (const value of values) stream.write(value)
  stream.write('text', 'utf8')
  stream.write('6869', 'hex')
  assert.deepEqual(sent(op.DATA).map(({ payload }) => String(payload)),
    ['b', '\x01\x02', '"text"', '42', 'null', 'true', '[1]', '{"k":1}', 'text', 'hi'])
})

test('setDefaultEncoding lets strings go as themselves, and only strings', () => {
  const { stream, sent } = creator()
  assert.equal(stream.setDefaultEncoding('latin1'), stream)
  stream.write('ÿ')
  stream.write(1)
  assert.deepEqual(sent(op.DATA).map(({ payload }) => [...payload]), [[255], [49]])
  assert.throws(() => stream.setDefaultEncoding('none'), { code: 'ERR_UNKNOWN_ENCODING' })
})

test('a write that throws sends nothing and leaves the stream as it was', () => {
  const { stream, sent } = creator()
  assert.throws(() => stream.write(undefined), { code: 'ERR_MUX_INVALID_VALUE' })
  assert.throws(() => stream.write('x', 'none'), { code: 'ERR_UNKNOWN_ENCODING' })
  assert.throws(() => stream.end(Symbol('s')), { code: 'ERR_MUX_INVALID_VALUE' })
  assert.deepEqual(sent(), [])
  assert.equal(stream.writable, true)
  stream.write(1)
  assert.equal(sent(op.DATA).length, 1)
})

test('write says false at the mark, and one drain follows in a later turn when the flush took it all', async () => {
  const { stream, fake, number } = creator({ writableHighWaterMark: 1000 })
  let drains = 0
  stream.on('drain', () => drains++)
  assert.equal(stream.write(Buffer.alloc(999)), true)
  assert.equal(stream.write(Buffer.alloc(1)), false)
  assert.equal(stream.write(Buffer.alloc(1)), false)
  assert.deepEqual([stream.writableNeedDrain, stream.writableLength, stream.writableHighWaterMark], [true, 1001, 1000])
  fake.queued.set(number, 500)
  engine.flush()
  assert.equal(drains, 0)
  await turn()
  assert.equal(drains, 1)
  assert.equal(stream.writableNeedDrain, false)
})

test('a drain that the flush cannot give comes with the record', async () => {
  const { stream, fake, number } = creator({ writableHighWaterMark: 1000 })
  let drains = 0
  stream.on('drain', () => drains++)
  stream.write(Buffer.alloc(2000))
  fake.queued.set(number, 501)
  engine.flush()
  await turn()
  assert.equal(drains, 0)
  fake.queued.set(number, 400)
  fake.push(kind.DRAIN, number)
  fake.wake()
  assert.equal(drains, 1)
})

test('a loop of writes ends even if every flush takes all', () => {
  const { stream } = creator()
  let count = 0
  while (stream.write(Buffer.alloc(65536))) assert.ok(++count < 100)
})

test('a callback is called when its mark comes back, and costs no mark where there is none', async () => {
  const { stream, fake, number, sent } = creator()
  const called = []
  stream.write('a')
  stream.write('b', (error) => called.push(['b', error]))
  stream.write('c', 'utf8', (error) => called.push(['c', error]))
  const marks = sent(op.MARK)
  assert.equal(marks.length, 2)
  await turn()
  assert.deepEqual(called, [])
  for (const { argument } of marks) fake.push(MARK, number, 0, '', argument)
  fake.wake()
  assert.deepEqual(called, [['b', undefined], ['c', undefined]])
})

test('end(value) sends one command, and finish, the callback and close follow its mark', async () => {
  const { stream, fake, number, handle, sent } = creator()
  const order = []
  for (const event of ['finish', 'close', 'end']) stream.on(event, () => order.push(event))
  stream.end({ a: 1 }, () => order.push('callback'))
  const commands = sent()
  assert.deepEqual(commands.map((command) => command.op), [op.END_VALUE, op.MARK])
  assert.deepEqual([commands[0].stream, String(commands[0].payload)], [handle, '{"a":1}'])
  assert.equal(stream.writable, false)
  await turn()
  assert.deepEqual(order, [])
  fake.push(MARK, number, 0, '', commands[1].argument)
  fake.wake()
  await turn()
  assert.deepEqual(order, ['callback', 'finish', 'close'])
})

test('end(bytes), and end(string, encoding), are data and a plain end', () => {
  for (const args of [[Buffer.from('last')], ['last', 'utf8'], ['last', 'utf8', () => {}]]) {
    const { stream, sent } = creator()
    stream.end(...args)
    const [data, end] = sent()
    assert.deepEqual([data.op, String(data.payload), end.op], [op.DATA, 'last', op.END])
  }
})

test('end(), end(null) and end(callback) are a plain end', () => {
  for (const args of [[], [null], [undefined, () => {}], [() => {}]]) {
    const { stream, sent } = creator()
    stream.end(...args)
    assert.deepEqual(sent().map((command) => command.op), [op.END, op.MARK])
  }
})

test('destroying a creator ends it on the wire, once', async () => {
  const { stream, sent } = creator()
  stream.destroy()
  stream.destroy()
  assert.deepEqual(sent().map((command) => command.op), [op.END])
  await turn()
  const ended = creator()
  ended.stream.end()
  ended.stream.destroy()
  assert.deepEqual(ended.sent(op.END).length, 1)
})

test('data flows to a listener without a stop, each message by itself', () => {
  const { stream, deliver, sent } = acceptor()
  const seen = []
  stream.on('data', (chunk) => seen.push(chunk))
  deliver('a', '', 'b')
  assert.deepEqual(seen.map(String), ['a', '', 'b'])
  assert.ok(seen.every(Buffer.isBuffer))
  assert.equal(stream.readableDidRead, true)
  assert.deepEqual(sent(op.HOLD), [])
})

test('a late listener gets what was kept, and what follows behind it', async () => {
  const { stream, deliver, end } = acceptor()
  deliver('a', 'b')
  const seen = []
  stream.on('data', (chunk) => seen.push(String(chunk)))
  deliver('c')
  end()
  await nextEvent(stream, 'end')
  assert.deepEqual(seen, ['a', 'b', 'c'])
})

test('a paused stream holds what comes, and releases it as it is read', async () => {
  const { stream, deliver, sent } = acceptor()
  stream.pause()
  deliver('x'.repeat(100), 'y'.repeat(200), '')
  assert.deepEqual(sent(op.HOLD).map(({ argument }) => argument), [228, 328, 128])
  const seen = []
  stream.on('data', (chunk) => seen.push(chunk.length))
  stream.resume()
  await turn()
  assert.deepEqual(seen, [100, 200, 0])
  assert.equal(sent(op.RELEASE).reduce((sum, { argument }) => sum + argument, 0), 684)
})

for (const ended of [true, false]) {
  test(`a listener that throws while the buffer is read gets the rest in later turns, ${ended ? '' : 'not '}ended`,
    async () => {
      const errors = uncaught()
      const { stream, deliver, end, sent } = acceptor()
      stream.pause()
      deliver('0', '1', '2', '3', '4')
      if (ended) end()
      const seen = []
      stream.on('end', () => seen.push('end'))
      stream.on('data', (chunk) => {
        seen.push(String(chunk))
        if (chunk[0] % 2 === 1) throw new Error('odd')
      })
      sent()
      stream.resume()
      for (let count = 0; count < 5; count++) await turn()
      errors.stop()
      assert.equal(errors.length, 2)
      assert.deepEqual(seen, ['0', '1', '2', '3', '4', ...(ended ? ['end'] : [])])
      assert.equal(sent(op.RELEASE).reduce((sum, { argument }) => sum + argument, 0), 5 * 129)
      if (ended) return
      deliver('6')
      assert.equal(seen.at(-1), '6')
      assert.deepEqual(sent(op.HOLD), [])
    })
}

test('a listener that pauses and throws gets nothing until it resumes', async () => {
  const errors = uncaught()
  const { stream, deliver } = acceptor()
  stream.pause()
  deliver('a', 'b')
  const seen = []
  stream.on('data', (chunk) => {
    seen.push(String(chunk))
    if (seen.length > 1) return
    stream.pause()
    throw new Error('paused')
  })
  stream.resume()
  for (let count = 0; count < 3; count++) await turn()
  assert.deepEqual(seen, ['a'])
  stream.resume()
  await turn()
  errors.stop()
  assert.deepEqual(seen, ['a', 'b'])
})

test('unclaimed data holds nothing until it is claimed', () => {
  const { stream, deliver, sent } = acceptor()
  deliver('x'.repeat(100))
  assert.deepEqual(sent(op.HOLD), [])
  stream.pause()
  assert.deepEqual(sent(op.HOLD).map(({ argument }) => argument), [228])
})

test('destroying an acceptor releases what it held, discards the rest, and delivers nothing more', async () => {
  const { stream, deliver, sent } = acceptor()
  stream.pause()
  deliver('x'.repeat(100))
  sent()
  stream.destroy()
  assert.deepEqual(sent().map((command) => [command.op, command.argument]), [[op.DISCARD, 0], [op.RELEASE, 228]])
  stream.on('data', assert.fail)
  deliver('later')
  await turn()
  assert.deepEqual(sent(op.HOLD), [])
})

test('a stream destroyed by the listener that got it is acknowledged before it is discarded', () => {
  const { sent, fake } = acceptor({}, (stream) => stream.destroy())
  assert.deepEqual([...fake.take(), ...sent()], [])
  const side = connected()
  side.client.on('stream', (stream) => stream.destroy())
  side.fake.push(STREAM, side.number, 1, '1', 0)
  side.fake.wake()
  assert.deepEqual(side.fake.take().map((command) => command.op), [op.ACCEPT, op.DISCARD])
})

test('end with a value gives it to every listener, once the data is read', async () => {
  const { stream, deliver, end } = acceptor()
  stream.pause()
  deliver('a')
  end('{"v":1}')
  const values = []
  stream.on('end', (...args) => values.push(args))
  stream.once('end', (...args) => values.push(args))
  await turn()
  assert.deepEqual(values, [])
  stream.resume()
  await turn()
  assert.deepEqual(values.map(([value]) => String(value)), ['{"v":1}', '{"v":1}'])
  assert.ok(Buffer.isBuffer(values[0][0]))
})

test('an end without a value has no argument', async () => {
  const { stream, end } = acceptor()
  stream.resume()
  end()
  const [ended] = await Promise.all([nextEvent(stream, 'end'), nextEvent(stream, 'close')])
  assert.deepEqual(ended, [])
})

test('an end listener on an unclaimed stream is called after an immediate, though it came after the end', async () => {
  const { stream, con, deliver, end } = acceptor()
  deliver('nobody asked')
  end()
  let ended = false
  stream.on('end', () => { ended = true })
  await null
  assert.equal(ended, false)
  await turn()
  await turn()
  assert.equal(ended, true)
  assert.equal(con.stats().discardedBytes, 12)
})

test('a flood of empty messages nobody reads is discarded, too', () => {
  const { con, deliver } = acceptor({ unclaimedLimit: 1280 })
  deliver(...Array(10).fill(''))
  assert.equal(con.stats().discardedStreams, 0)
  deliver('')
  assert.equal(con.stats().discardedStreams, 1)
})

test('JSON data is delivered as its value, and null as its text where it has to wait', async () => {
  const { stream, push, fake } = acceptor()
  const seen = []
  stream.on('data', (value) => seen.push(value))
  for (const text of ['{"a":1}', 'null', '"s"']) push(2, text)
  fake.wake()
  stream.pause()
  for (const text of ['null', '[2]']) push(2, text)
  fake.wake()
  stream.resume()
  await turn()
  assert.deepEqual(seen, [{ a: 1 }, null, 's', Buffer.from('null'), [2]])
})

test('setEncoding decodes across chunks, keeps messages apart, and skips what is part of a character', async () => {
  const euro = Buffer.from('€')
  const { stream, deliver, end } = acceptor()
  stream.pause()
  deliver('a', 'b')
  stream.setEncoding('utf8')
  deliver('c', euro.subarray(0, 1))
  const seen = []
  stream.on('data', (text) => seen.push(text))
  stream.resume()
  await turn()
  deliver(euro.subarray(1), 'd')
  end()
  await nextEvent(stream, 'end')
  assert.deepEqual(seen, ['a', 'b', 'c', '€', 'd'])
})

test('setEncoding on what is buffered skips what is part of a character, keeps what was empty, and counts right',
  async () => {
    const euro = Buffer.from('€')
    for (const [chunks, texts] of [
      [[euro.subarray(0, 1), euro.subarray(1, 2), euro.subarray(2), 'a', ''], ['€', 'a', '']],
      [['a', euro.subarray(0, 2)], ['a', '\ufffd']],
      [[euro.subarray(0, 2)], ['\ufffd']]
    ]) {
      const { stream, deliver, end, sent } = acceptor()
      stream.pause()
      deliver(...chunks)
      end()
      stream.setEncoding('utf8')
      const seen = []
      stream.on('data', (text) => seen.push(text)).resume()
      await nextEvent(stream, 'end')
      assert.deepEqual(seen, texts)
      const held = sent().reduce((sum, { op: code, argument }) =>
        sum + (code === op.HOLD ? argument : code === op.RELEASE ? -argument : 0), 0)
      assert.equal(held, 0)
    }
  })

test('what setEncoding took for part of a character is released at once, and by its own count', () => {
  const euro = Buffer.from('€')
  const { stream, deliver, sent } = acceptor()
  stream.pause()
  deliver('x'.repeat(1000), euro.subarray(0, 2), 'y'.repeat(10))
  stream.unshift(Buffer.from('front'))
  sent()
  stream.setEncoding('utf8')
  assert.deepEqual(sent(op.RELEASE).map(({ argument }) => argument), [130])
  assert.equal(stream.readableLength, 3)
})

test('end() behind the connection\'s own end is an error to its callback and to those who listen, and to nobody else',
  async () => {
    for (const [heard, ...args] of [[false], [true], [false, 'value'], [false, Buffer.from('x')]]) {
      const errors = uncaught()
      const { stream, con, sent } = creator()
      const seen = []
      con.end()
      sent()
      if (heard) stream.on('error', (error) => seen.push(error.code))
      stream.on('close', () => seen.push('close'))
      const code = new Promise((resolve) => stream.end(...args, (error) => resolve(error.code)))
      assert.equal(await code, 'ERR_MUX_CONNECTION_CLOSED')
      await turn()
      errors.stop()
      assert.deepEqual(errors.map(String), [])
      assert.deepEqual(seen, heard ? ['ERR_MUX_CONNECTION_CLOSED', 'close'] : ['close'])
      assert.equal(stream.errored.code, 'ERR_MUX_CONNECTION_CLOSED')
      assert.deepEqual(sent(), [])
    }
  })

test('read(), for await and pipeline keep messages apart and release what they took', async () => {
  let seen
  for (const consume of [
    async (stream) => { for await (const chunk of stream) seen.push(String(chunk)) },
    (stream) => pipeline(stream, new Writable({ write (chunk, _, done) { seen.push(String(chunk)); done() } })),
    async (stream) => {
      stream.on('readable', () => { for (let chunk; (chunk = stream.read()) !== null;) seen.push(String(chunk)) })
      await nextEvent(stream, 'end')
    }
  ]) {
    seen = []
    const { stream, deliver, end, sent } = acceptor()
    const consumed = consume(stream)
    await turn()
    deliver('one', 'two')
    await turn()
    deliver('three')
    end()
    await consumed
    assert.deepEqual(seen, ['one', 'two', 'three'])
    let held = 0
    for (const { op: code, argument } of sent()) {
      if (code === op.HOLD) held += argument
      if (code === op.RELEASE) held -= argument
    }
    assert.equal(held, 0)
  }
})

test('an acceptor takes no writes, and its end() sends nothing and calls back', async () => {
  const { stream, sent } = acceptor()
  assert.throws(() => stream.write('x'), { code: 'ERR_MUX_NOT_WRITABLE' })
  await new Promise((resolve) => stream.end('value', resolve))
  assert.deepEqual(sent(), [])
  assert.deepEqual([stream.readable, stream.writable, stream.destroyed], [true, true, false])
})

test('Readable.from piped into a creator ends it', async () => {
  const { stream, fake, number, sent } = creator()
  const done = pipeline(Readable.from([Buffer.from('a'), { b: 1 }]), stream)
  await turn()
  const commands = sent()
  assert.deepEqual(commands.map((command) => command.op), [op.DATA, op.DATA, op.END, op.MARK])
  fake.push(MARK, number, 0, '', commands[3].argument)
  fake.wake()
  await done
})
