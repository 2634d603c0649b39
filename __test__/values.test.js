'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const { boundedJson, sendable } = require('../lib/values.js')

test('bytes stay bytes, in whatever view they come', () => {
  const bytes = Buffer.from('bytes')
  assert.equal(sendable(bytes), bytes)
  const memory = new Uint8Array([0, 1, 2, 3, 4, 5, 6, 7]).buffer
  assert.deepEqual([...sendable(new DataView(memory, 2, 3))], [2, 3, 4])
  assert.deepEqual([...sendable(new Uint16Array(memory, 2, 2))], [2, 3, 4, 5])
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
