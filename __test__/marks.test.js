'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const { Marks } = require('../lib/marks.js')
const { turn } = require('./support/events.js')

function recorder () {
  const marks = new Marks()
  const seen = []
  return { marks, seen, add: (name) => marks.add((error) => seen.push(error ? `${name}: ${error.message}` : name)) }
}

test('all up to the number reached are called, in order, and once', () => {
  const { marks, seen, add } = recorder()
  const [, second, third] = ['a', 'b', 'c'].map(add)
  marks.reach(second)
  assert.deepEqual(seen, ['a', 'b'])
  marks.reach(third)
  marks.reach(third)
  assert.deepEqual(seen, ['a', 'b', 'c'])
})

test('one that throws is not called again, and the rest wait for the next call', () => {
  const { marks, seen, add } = recorder()
  marks.add(() => { throw new Error('first') })
  const last = add('last')
  assert.throws(() => marks.reach(last), /first/)
  assert.deepEqual(seen, [])
  marks.reach(last)
  assert.deepEqual(seen, ['last'])
})

test('a callback may add another, which waits for its own number', () => {
  const { marks, seen, add } = recorder()
  let inner
  const outer = marks.add(() => { inner = add('inner') })
  marks.reach(outer)
  assert.deepEqual(seen, [])
  marks.reach(inner)
  assert.deepEqual(seen, ['inner'])
})

test('failing calls those that wait with the error, in a later tick, and leaves none', async () => {
  const { marks, seen, add } = recorder()
  const numbers = ['a', 'b', 'c'].map(add)
  marks.reach(numbers[0])
  marks.fail(new Error('over'))
  assert.deepEqual(seen, ['a'])
  await turn()
  assert.deepEqual(seen, ['a', 'b: over', 'c: over'])
  marks.reach(numbers[2])
  assert.equal(seen.length, 3)
})

test('thousands that wait are called in order', () => {
  const { marks, seen, add } = recorder()
  const numbers = Array.from({ length: 5000 }, (_, index) => add(index))
  for (const number of numbers) marks.reach(number)
  assert.deepEqual(seen, numbers.map((_, index) => index))
})
