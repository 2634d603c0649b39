'use strict'

// COMPAT.md: the stream object, and what write() and end() make of each value.

const test = require('node:test')
const assert = require('node:assert/strict')
const Stream = require('node:stream')
const { connectPair, connectStream, openPair, writeAll } = require('../support/mux.js')
const { nextEvent, collect, collectBytes, take, takeBytes, turn, within } = require('../support/events.js')

test('a stream is a Stream with an id, its meta and both halves said to be there', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  for (const stream of [creator, acceptor]) {
    assert.ok(stream instanceof Stream)
    assert.ok(stream instanceof Stream.Duplex)
    assert.equal(typeof stream.id, 'number')
    assert.deepEqual(stream.meta, { purpose: 'test' })
    assert.equal(stream.readable, true)
    assert.equal(stream.writable, true)
    for (const method of ['write', 'end', 'pipe', 'pause', 'resume', 'destroy']) {
      assert.equal(typeof stream[method], 'function')
    }
  }
})

test('both ends of a stream have the same id, and live streams have different ones', async (t) => {
  const { con, client } = await connectPair(t)
  const ids = new Set()
  for (let index = 0; index < 5; index++) {
    const { creator, acceptor } = await openPair(client, con)
    assert.equal(creator.id, acceptor.id)
    ids.add(creator.id)
  }
  assert.equal(ids.size, 5)
})

test('data are Buffers, and the end has no argument', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const all = collect(acceptor)
  creator.write(Buffer.from('one'))
  creator.end()
  const { chunks, endArguments } = await all
  assert.deepEqual(chunks, [Buffer.from('one')])
  assert.deepEqual(endArguments, [])
})

test('write returns a boolean', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  acceptor.resume()
  assert.equal(creator.write(Buffer.from('x')), true)
  let returned
  for (let size = 0; size < 8 * 1024 * 1024; size += 65536) {
    returned = creator.write(Buffer.alloc(65536))
    assert.equal(typeof returned, 'boolean')
    if (!returned) break
  }
  assert.equal(returned, false, 'eight MiB in one go are more than any queue is meant to hold')
  await nextEvent(creator, 'drain')
})

const VALUES = [
  ['a Buffer as its bytes', Buffer.from([0, 255, 128, 10]), '\x00\xff\x80\n'],
  ['a string as JSON, with its quotes', 'str', '"str"'],
  ['an empty string as JSON', '', '""'],
  ['a string with astral Unicode as JSON in UTF-8', '😀é', Buffer.from('"😀é"').toString('latin1')],
  ['a number as JSON', 42, '42'],
  ['zero as JSON', 0, '0'],
  ['NaN as JSON makes of it', NaN, 'null'],
  ['true as JSON', true, 'true'],
  ['false as JSON', false, 'false'],
  ['null as JSON', null, 'null'],
  ['an object as JSON', { k: 1 }, '{"k":1}'],
  ['an array as JSON', [1, 'a', null], '[1,"a",null]'],
  ['an object by its toJSON', new Date(0), '"1970-01-01T00:00:00.000Z"'],
  ['a Uint8Array as its bytes', Uint8Array.of(1, 2, 3), '\x01\x02\x03'],
  ['a part of a Uint8Array as those bytes', new Uint8Array(Uint8Array.of(9, 8, 7, 6).buffer, 1, 2), '\x08\x07'],
  ['a part of a Buffer as those bytes', Buffer.from('abcdef').subarray(2, 4), 'cd'],
  ['an ArrayBuffer as its bytes', Uint8Array.of(7, 8).buffer, '\x07\x08'],
  ['a long SharedArrayBuffer as its bytes', new SharedArrayBuffer(10_000), '\x00'.repeat(10_000)],
  ['a view of shared memory as its bytes', new Uint8Array(new SharedArrayBuffer(10_000), 1), '\x00'.repeat(9999)],
  ['an empty Buffer as nothing, in a data event of its own', Buffer.alloc(0), '']
]

for (const [title, value, expected] of VALUES) {
  test(`write sends ${title}`, async (t) => {
    const { creator, acceptor } = await connectStream(t)
    const arriving = take(acceptor, 2)
    creator.write(value)
    creator.write(Buffer.from('next'))
    const [chunk, next] = await arriving
    assert.ok(Buffer.isBuffer(chunk))
    assert.equal(chunk.toString('latin1'), expected)
    assert.equal(String(next), 'next')
  })
}

test('write throws at once on what has no JSON, and the stream goes on', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const arriving = take(acceptor, 1)
  for (const value of [undefined, Symbol('s'), { toJSON () {} }, new Map([[1, 2]]), new Error('x')]) {
    assert.throws(() => creator.write(value), { code: 'ERR_MUX_INVALID_VALUE' })
  }
  assert.throws(() => creator.write(1n), Error)
  creator.write(Buffer.from('still here'))
  assert.equal(String((await arriving)[0]), 'still here')
})

test('an ArrayBuffer that ends a stream arrives as data', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  creator.end(Uint8Array.of(1, 2).buffer)
  const { chunks, endArguments } = await collect(acceptor)
  assert.deepEqual([Buffer.concat(chunks).toString('hex'), endArguments], ['0102', []])
})

test('write with an explicit encoding sends the encoded string itself', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const arriving = take(acceptor, 6)
  creator.write('plain é', 'utf8')
  creator.write('00ff10', 'hex')
  creator.write('aGk=', 'base64')
  creator.write('é', 'latin1')
  creator.write('hi', 'utf16le')
  creator.write('quoted again')
  assert.deepEqual((await arriving).map((chunk) => chunk.toString('hex')), [
    Buffer.from('plain é').toString('hex'), '00ff10', '6869', 'e9', '68006900', Buffer.from('"quoted again"').toString('hex')
  ])
})

test('setDefaultEncoding makes strings go as themselves', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const arriving = take(acceptor, 3)
  creator.write('before')
  creator.setDefaultEncoding('utf8')
  creator.write('after é')
  creator.write({ still: 'JSON' })
  assert.deepEqual((await arriving).map(String), ['"before"', 'after é', '{"still":"JSON"}'])
})

test('write takes its bytes at once: the buffer may be changed when it has returned', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const arriving = takeBytes(acceptor, 3 * 64 + 200_000)
  const small = Buffer.alloc(64)
  for (const value of [1, 2, 3]) {
    creator.write(small.fill(value))
  }
  small.fill(0)
  const large = Buffer.alloc(200_000, 4)
  creator.write(large)
  large.fill(0)
  const bytes = await arriving
  const expected = Buffer.concat([1, 2, 3].map((value) => Buffer.alloc(64, value)).concat(Buffer.alloc(200_000, 4)))
  assert.ok(bytes.equals(expected))
})

test('write stringifies at once: an object may be changed when it has returned', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const arriving = take(acceptor, 2)
  const value = { n: 1 }
  creator.write(value)
  value.n = 2
  creator.write(value)
  value.n = 3
  assert.deepEqual((await arriving).map(String), ['{"n":1}', '{"n":2}'])
})

test('a buffer may be changed when write has returned false, too', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const received = collectBytes(acceptor)
  const buffer = Buffer.alloc(65536)
  let count = 0
  let more
  do {
    buffer.fill(count % 251)
    more = creator.write(buffer)
    count++
  } while (more)
  for (const extra of [252, 253]) {
    creator.write(buffer.fill(extra))
  }
  buffer.fill(255)
  creator.end()
  const bytes = await received
  assert.equal(bytes.length, (count + 2) * 65536)
  for (let index = 0; index < count + 2; index++) {
    const value = index < count ? index % 251 : 252 + index - count
    const part = bytes.subarray(index * 65536, (index + 1) * 65536)
    assert.ok(part.equals(Buffer.alloc(65536, value)), `write ${index} arrived changed`)
  }
})

test('a buffer written in the callback of createStream may be changed at once', async (t) => {
  const { con, client } = await connectPair(t)
  const announced = nextEvent(con, 'stream')
  const buffer = Buffer.from('first')
  client.StreamPool.createStream('s', (stream) => {
    stream.write(buffer)
    buffer.write('-----')
  })
  const [acceptor] = await announced
  assert.equal(String((await take(acceptor, 1))[0]), 'first')
})

const ENDS = [
  ['end()', [], []],
  ['end(null)', [null], []],
  ['end(undefined)', [undefined], []],
  ["end('text')", ['text'], ['"text"']],
  ["end('')", [''], ['""']],
  ['end(42)', [42], ['42']],
  ['end(0)', [0], ['0']],
  ['end(false)', [false], ['false']],
  ["end({ ok: true, why: 'é' })", [{ ok: true, why: 'é' }], ['{"ok":true,"why":"é"}']],
  ['end([])', [[]], ['[]']]
]

for (const [form, args, expected] of ENDS) {
  test(`${form} gives the other side's end ${expected.length ? `one argument, the Buffer ${expected[0]}` : 'no argument'}`,
    async (t) => {
      const { creator, acceptor } = await connectStream(t)
      const all = collect(acceptor)
      creator.write(Buffer.from('data'))
      creator.end(...args)
      const { chunks, endArguments } = await all
      assert.deepEqual(chunks.map(String), ['data'], 'there is no data event for the end value')
      assert.ok(endArguments.every(Buffer.isBuffer))
      assert.deepEqual(endArguments.map(String), expected)
    })
}

test('end(buffer) sends data, then an end without an argument', async (t) => {
  const { con, client } = await connectPair(t)
  for (const bytes of [Buffer.from('last words'), Uint8Array.from(Buffer.from('last words'))]) {
    const { creator, acceptor } = await openPair(client, con)
    const all = collect(acceptor)
    creator.end(bytes)
    const { chunks, endArguments } = await all
    assert.deepEqual(chunks.map(String), ['last words'])
    assert.deepEqual(endArguments, [])
  }
})

test('end(string, encoding) sends the encoded string itself, then an end without an argument', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const all = collect(acceptor)
  creator.end('68690a', 'hex')
  const { chunks, endArguments } = await all
  assert.deepEqual(chunks.map(String), ['hi\n'])
  assert.deepEqual(endArguments, [])
})

test('a large end value arrives whole', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const all = collect(acceptor)
  const value = { text: '😀'.repeat(100_000) }
  creator.end(value)
  const { endArguments } = await all
  assert.deepEqual(JSON.parse(endArguments[0]), value)
})

test('end throws at once on what has no JSON', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const all = collect(acceptor)
  assert.throws(() => creator.end(Symbol('s')), { code: 'ERR_MUX_INVALID_VALUE' })
  creator.end({ fine: true })
  assert.deepEqual((await all).endArguments.map(String), ['{"fine":true}'])
})

test('the end comes after all data, however much there is', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const received = collectBytes(acceptor)
  await writeAll(creator, 100, (index) => Buffer.alloc(100_000, index))
  creator.end()
  const bytes = await received
  assert.equal(bytes.length, 10_000_000)
  for (let index = 0; index < 100; index++) assert.equal(bytes[index * 100_000 + 99_999], index)
})

test('write after end is Node\'s own error', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  acceptor.resume()
  const failed = nextEvent(creator, 'error')
  creator.end()
  creator.write(Buffer.from('too late'))
  assert.equal((await failed)[0].code, 'ERR_STREAM_WRITE_AFTER_END')
})

test('a hundred thousand writes of changing sizes arrive in order', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  let next = 0
  const done = new Promise((resolve, reject) => {
    acceptor.on('data', (chunk) => {
      if (chunk.readUInt32LE(0) !== next || chunk.length !== 4 + next % 97) reject(new Error(`write ${next} is not itself`))
      if (++next === 100_000) resolve()
    })
  })
  const sending = writeAll(creator, 100_000, (index) => {
    const bytes = Buffer.alloc(4 + index % 97)
    bytes.writeUInt32LE(index)
    return bytes
  })
  await within(Promise.all([sending, done]), 'all writes')
  await turn()
})

test('setEncoding gives strings, and joins a character cut in two', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  acceptor.setEncoding('utf8')
  const all = collect(acceptor)
  const bytes = Buffer.from('a😀b')
  creator.write(bytes.subarray(0, 3))
  creator.write(bytes.subarray(3))
  creator.end()
  const { chunks } = await all
  assert.ok(chunks.every((chunk) => typeof chunk === 'string'))
  assert.equal(chunks.join(''), 'a😀b')
})

test('cork and uncork lose and merge nothing', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const arriving = take(acceptor, 3)
  creator.cork()
  creator.write(Buffer.from('one'))
  creator.write(Buffer.from('two'))
  creator.uncork()
  creator.write(Buffer.from('three'))
  assert.deepEqual((await arriving).map(String), ['one', 'two', 'three'])
})
