'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const { StreamTable } = require('../lib/stream-table.js')

test('handles of our own are even, start at 0, and are used again once removed', () => {
  const table = new StreamTable()
  assert.deepEqual(['a', 'b', 'c'].map((entry) => table.take(entry)), [0, 2, 4])
  assert.equal(table.remove(2), 'b')
  assert.equal(table.at(2), undefined)
  assert.equal(table.take('d'), 2)
  assert.equal(table.take('e'), 6)
})

test('removing twice frees a handle once', () => {
  const table = new StreamTable()
  const handle = table.take('a')
  table.remove(handle)
  assert.equal(table.remove(handle), undefined)
  assert.notEqual(table.take('b'), table.take('c'))
})

test('the two directions do not touch each other', () => {
  const table = new StreamTable()
  table.take('ours')
  table.set(1, 'theirs')
  assert.deepEqual([table.at(0), table.at(1), table.at(3)], ['ours', 'theirs', undefined])
  assert.deepEqual(table.entries(), ['ours', 'theirs'])
  assert.equal(table.remove(1), 'theirs')
  assert.equal(table.at(0), 'ours')
})

test('live streams of both directions are counted until they are counted down', () => {
  const table = new StreamTable()
  table.take('a')
  table.take('b')
  table.set(1, 'c')
  table.set(2, 'what was pending became a stream')
  assert.deepEqual([table.localLive, table.remoteLive, table.live], [2, 1, 3])
  table.countDown(2)
  table.countDown(1)
  assert.deepEqual([table.localLive, table.remoteLive], [1, 0])
})
