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

test('each is called by its number, once, in whatever order they come', () => {
  const { marks, seen, add } = recorder()
  const [first, second, third] = ['a', 'b', 'c'].map(add)
  for (const number of [second, third, second, first, third]) marks.reach(number)
  assert.deepEqual(seen, ['b', 'c', 'a'])
})

test('one that throws is not called again, and the others are not affected', () => {
  const { marks, seen, add } = recorder()
  const bad = marks.add(() => { throw new Error('first') })
  const last = add('last')
  assert.throws(() => marks.reach(bad), /first/)
  marks.reach(bad)
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

test('one that is overtaken by many keeps only its own place', async () => {
  const { marks, seen, add } = recorder()
  const slow = [add('slow'), add('slower')]
  for (let index = 0; index < 10_000; index++) {
    marks.reach(marks.add(() => {}))
    assert.ok(marks._entries.length < 1000)
  }
  const behind = add('behind')
  assert.deepEqual(seen, [])
  marks.reach(behind)
  marks.reach(slow[0])
  marks.reach(slow[0])
  assert.deepEqual(seen, ['behind', 'slow'])
  add('late')
  marks.fail(new Error('over'))
  await turn()
  assert.deepEqual(seen, ['behind', 'slow', 'slower: over', 'late: over'])
  assert.deepEqual(marks._entries, [])
})

test('numbers wrap at 32 bits', () => {
  const { marks, seen, add } = recorder()
  marks._next = marks._first = 2 ** 32 - 2
  const numbers = ['a', 'b', 'c', 'd'].map(add)
  assert.deepEqual(numbers, [2 ** 32 - 2, 2 ** 32 - 1, 0, 1])
  for (const at of [2, 0, 3, 1]) marks.reach(numbers[at])
  assert.deepEqual(seen, ['c', 'a', 'd', 'b'])
})
