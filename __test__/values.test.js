'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const vm = require('node:vm')
const { boundedJson, isBytes, sendable } = require('../lib/values.js')

test('bytes stay bytes, in whatever view they come', () => {
  const bytes = Buffer.from('bytes')
  assert.equal(sendable(bytes), bytes)
  const memory = new Uint8Array([0, 1, 2, 3, 4, 5, 6, 7]).buffer
  assert.deepEqual([...sendable(new DataView(memory, 2, 3))], [2, 3, 4])
  assert.deepEqual([...sendable(new Uint16Array(memory, 2, 2))], [2, 3, 4, 5])
})

test('an ArrayBuffer and a SharedArrayBuffer are bytes, and shared memory is copied', () => {
  const memory = new Uint8Array([1, 2, 3]).buffer
  assert.deepEqual([...sendable(memory)], [1, 2, 3])
  const shared = new SharedArrayBuffer(3)
  const view = new Uint8Array(shared)
  view.set([4, 5, 6])
  const bytes = sendable(shared)
  view.fill(0)
  assert.deepEqual([...bytes], [4, 5, 6])
  assert.equal(isBytes(memory) && isBytes(shared) && isBytes(view), true)
  assert.equal(isBytes([1]) || isBytes('text') || isBytes(null), false)
})

test('a built-in of which JSON would keep nothing is refused, in every realm', () => {
  const empty = [
    new Map([[1, 2]]), new Set([1]), new WeakMap(), new WeakSet(), new WeakRef({}), Promise.resolve(), /x/,
    new Error('x'), new TypeError('x'), Object.assign(new Error('x'), { code: 'E' }), new DOMException('x'),
    new Blob(['x']), new URLSearchParams('a=1'), new Headers(), new ReadableStream(), [1].values(),
    new Map().entries(), Object(Symbol('x')), (function * () {})(), new (class Store extends Map {})(),
    vm.runInNewContext('new Map([[1, 2]])'), vm.runInNewContext('new RangeError("x")')
  ]
  for (const value of empty) {
    assert.throws(() => sendable(value), { code: 'ERR_MUX_INVALID_VALUE', message: /^This value, \[object \w+/ })
    assert.throws(() => boundedJson(value, 'This meta'), { code: 'ERR_MUX_INVALID_VALUE' })
  }
  // Bytes have their place in write(); as a meta they would be `{}`.
  for (const value of [new ArrayBuffer(2), new DataView(new ArrayBuffer(2))]) {
    assert.throws(() => boundedJson(value, 'This meta'), { code: 'ERR_MUX_INVALID_VALUE' })
  }
})

test('what says itself what its JSON is goes as that, and so do classes of programs', () => {
  class Point { constructor () { this.x = 1 } }
  class Store extends Map { toJSON () { return [...this] } }
  const error = Object.assign(new Error('x'), { toJSON: () => ({ message: 'x' }) })
  const date = new Date(0)
  const cases = [
    [new Point(), '{"x":1}'], [new Store([[1, 2]]), '[[1,2]]'], [error, '{"message":"x"}'],
    [date, JSON.stringify(date)],
    [new URL('http://x/'), '"http://x/"'], [Object.create(null), '{}'], [{}, '{}'], [Object(1), '1'],
    [vm.runInNewContext('({ a: [1] })'), '{"a":[1]}'], [{ map: new Map() }, '{"map":{}}']
  ]
  for (const [value, text] of cases) assert.equal(sendable(value).text, text)
})

test('anything else is its JSON, and a string only without an encoding', () => {
  assert.deepEqual(sendable('text'), { text: '"text"', encoding: 'utf8' })
  assert.deepEqual(sendable('text', 'latin1'), { text: 'text', encoding: 'latin1' })
  assert.deepEqual(sendable(42, 'latin1'), { text: '42', encoding: 'utf8' })
  assert.equal(sendable(null).text, 'null')
  assert.equal(sendable({ toJSON: () => [1] }).text, '[1]')
})

test('what has no JSON form is refused', () => {
  for (const value of [undefined, () => {}, Symbol('s'), { toJSON: () => undefined }]) {
    assert.throws(() => sendable(value), { code: 'ERR_MUX_INVALID_VALUE', name: 'TypeError' })
    assert.throws(() => boundedJson(value, 'This meta'), { code: 'ERR_MUX_INVALID_VALUE', message: /^This meta/ })
  }
  assert.throws(() => sendable(1n), TypeError)
  const circle = {}
  circle.self = circle
  assert.throws(() => sendable(circle), TypeError)
})

test('an encoding that is none is Node\'s error for it', () => {
  assert.throws(() => sendable('text', 'utf-9'), { code: 'ERR_UNKNOWN_ENCODING', name: 'TypeError' })
})

test('JSON that goes in one piece may have four MiB, counted in bytes', () => {
  const limit = 4 * 1024 * 1024
  assert.equal(boundedJson('x'.repeat(limit - 2), 'This meta').length, limit)
  assert.throws(() => boundedJson('x'.repeat(limit - 1), 'This meta'), { code: 'ERR_MUX_VALUE_TOO_LARGE' })
  assert.throws(() => boundedJson('€'.repeat(limit / 2), 'This meta'), RangeError)
})
