'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const { AsyncLocalStorage } = require('node:async_hooks')
const { EventEmitter } = require('node:events')
const context = require('../lib/context.js')

const storage = new AsyncLocalStorage()

test('where no storage is active there is nothing to capture', () => {
  // Node's test runner has none of its own, yet runs each test in a resource of its own.
  assert.equal(context.run(context.root, context.capture), null)
  const callback = () => {}
  assert.equal(context.run(context.root, context.bind, undefined, callback), callback)
})

test('a captured context is that of the capture, wherever it is run', () => {
  const captured = storage.run('here', context.capture)
  assert.notEqual(captured, null)
  storage.run('elsewhere', () => {
    assert.equal(context.run(captured, () => storage.getStore()), 'here')
    assert.equal(storage.getStore(), 'elsewhere')
  })
})

test('run and emit pass on what they are given', () => {
  for (const captured of [null, storage.run('here', context.capture)]) {
    const self = {}
    assert.deepEqual(context.run(captured, function (...args) { return [this, args] }, self, 1, 2), [self, [1, 2]])
    const emitter = new EventEmitter()
    const seen = []
    emitter.on('event', (...args) => seen.push(args, storage.getStore()))
    assert.equal(context.emit(captured, emitter, 'event', 1, 2), true)
    assert.equal(context.emit(captured, emitter, 'other'), false)
    assert.deepEqual(seen, [[1, 2], captured === null ? undefined : 'here'])
  }
})

test('a bound callback runs in its caller\'s context', () => {
  const bound = storage.run('caller', () => context.bind((value) => [value, storage.getStore()]))
  assert.deepEqual(bound(5), [5, 'caller'])
})

test('a storage that is entered, not run, is captured too', () => {
  const entered = new AsyncLocalStorage()
  const captured = storage.run('x', () => {
    entered.enterWith('entered')
    return context.capture()
  })
  assert.equal(context.run(captured, () => entered.getStore()), 'entered')
})
