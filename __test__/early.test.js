'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const { Charges, Early, PER_CHUNK } = require('../lib/early.js')

// A chunk as the engine cuts them: a view of a large slab.
const slab = Buffer.allocUnsafeSlow(65536)
const cut = (length, fill = 0) => slab.subarray(0, length).fill(fill)

test('a chunk counts for its bytes and what keeping it costs, an empty one too', () => {
  const early = new Early(3 * PER_CHUNK + 10)
  assert.deepEqual([early.add(cut(10), 10, PER_CHUNK + 10), early.add(cut(0), 0, PER_CHUNK), early.add(cut(0), 0, PER_CHUNK)], [true, true, true])
  assert.equal(early.add(cut(0), 0, PER_CHUNK), false)
  assert.equal(early.bytes, 10)
  assert.equal(new Early(0).add(cut(0), 0, PER_CHUNK), false)
})

test('what is kept is what came, in order, whatever becomes of its neighbours', () => {
  const early = new Early(10_000_000)
  const lengths = [0, 1, 100, 1023, 1024, 0, 4000, 4096, 32_767, 5, 32_768, 65_536]
  const expected = []
  // The last two stay in their slab, which the engine does not use twice as this test does.
  for (const [index, length] of lengths.entries()) {
    const chunk = length < 32_768 ? cut(length, index) : Buffer.alloc(length, index)
    expected.push(Buffer.from(chunk))
    assert.equal(early.add(chunk, length, length), true)
  }
  const chunks = early.entries.filter((_, index) => index % 3 === 0)
  assert.deepEqual(chunks, expected)
  assert.deepEqual(early.entries.filter((_, index) => index % 3 === 1), lengths)
  assert.ok(chunks.every(Buffer.isBuffer))
  chunks[2].fill(0xee)
  assert.deepEqual([chunks[1], chunks[3]], [expected[1], expected[3]])
})

test('small chunks do not keep their slabs, and share memory with each other', () => {
  const early = new Early(1_000_000)
  for (let count = 0; count < 1000; count++) early.add(cut(10), 10, 10)
  early.add(cut(0), 0, 0)
  early.add(cut(2000), 2000, 2000)
  const buffers = new Set(early.entries.filter(ArrayBuffer.isView).map(({ buffer }) => buffer))
  const bytes = [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0)
  assert.equal(buffers.has(slab.buffer), false)
  assert.ok(bytes <= 12_000 + 4096, `${bytes} bytes are kept`)
})

test('values are kept as they are', () => {
  const early = new Early(1000)
  const value = { a: 1 }
  for (const each of [value, null, 'text']) early.add(each, 5, 80)
  assert.deepEqual(early.entries, [value, 5, 80, null, 5, 80, 'text', 5, 80])
})

test('charges leave in order, in any number, also those taken from the middle', () => {
  const charges = new Charges()
  for (let i = 0; i < 10_000; i++) charges.push(i)
  assert.equal(charges.dropTo(9_999), 0)
  assert.equal(charges.take(1), 2)
  assert.equal(charges.dropTo(9_997), 1)
  assert.equal(charges.length, 9_997)
  let sum = 3
  for (let left = 9_996; left >= 0; left--) sum += charges.dropTo(left)
  assert.deepEqual([sum, charges.length], [49_995_000, 0])
})
