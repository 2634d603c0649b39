'use strict'

// The fields of Node's Readable that are used here are those of the Node that runs this.

const test = require('node:test')
const assert = require('node:assert/strict')
const { Readable } = require('node:stream')
const { decodeBuffered, flowOn } = require('../lib/node-buffer.js')

const euro = Buffer.from('€')

function buffering (...chunks) {
  const stream = new Readable({ objectMode: true, read () {} })
  stream.pause()
  for (const chunk of chunks) stream.push(chunk)
  return stream
}

test('chunks are decoded one by one, and parts of characters leave the buffer', () => {
  const stream = buffering(Buffer.from('gone'), 'a', euro.subarray(0, 1), euro.subarray(1, 2), { value: 1 },
    Buffer.alloc(0), euro.subarray(2), Buffer.from('b'))
  stream.read() // the buffer does not start at its first place any more
  assert.deepEqual(decodeBuffered(stream._readableState, 'utf8'), [1, 2])
  assert.equal(stream.readableLength, 5)
  assert.equal(stream.readableEncoding, 'utf8')
  stream.push(Buffer.from('c'))
  const read = []
  for (let chunk; (chunk = stream.read()) !== null;) read.push(chunk)
  assert.deepEqual(read, ['a', { value: 1 }, '', '€', 'b', 'c'])
})

test('what is not completed before the end is told as U+FFFD', () => {
  const stream = buffering(euro.subarray(0, 2), null)
  assert.deepEqual(decodeBuffered(stream._readableState, 'utf8'), [])
  assert.equal(stream.read(), '\ufffd')
})

test('a flow goes on while the stream flows', () => {
  const stream = buffering('a', 'b', 'c')
  const seen = []
  stream.on('data', (chunk) => seen.push(chunk))
  flowOn(stream)
  assert.deepEqual(seen, [])
  stream.resume()
  stream.once('data', () => stream.pause())
  flowOn(stream)
  assert.deepEqual(seen, ['a'])
  stream.resume()
  flowOn(stream)
  assert.deepEqual(seen, ['a', 'b', 'c'])
  stream.destroy()
  flowOn(stream)
})
