'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const { AsyncLocalStorage } = require('node:async_hooks')
const { execFileSync } = require('node:child_process')
const { EventEmitter } = require('node:events')
const context = require('../lib/context.js')

const storage = new AsyncLocalStorage()

test('where no storage is active there is nothing to capture', () => {
  // In a process of its own: the test runner may have a storage of its own.
  const program = `
    const context = require(${JSON.stringify(require.resolve('../lib/context.js'))})
    const callback = () => {}
    const before = [context.capture(), context.bind(callback) === callback]
    const { AsyncLocalStorage } = require('node:async_hooks')
    const storage = new AsyncLocalStorage()
    storage.run(1, () => before.push(context.capture() !== null))
    console.log(JSON.stringify([...before, context.run(context.root, context.capture)]))`
  const output = execFileSync(process.execPath, ['-e', program], { encoding: 'utf8' })
  assert.deepEqual(JSON.parse(output), [null, true, true, null])
})

test('hooks that are on while this is loaded, and off later, do not hide a storage', () => {
  for (const hook of ['destroy () {}', 'init (id, type, trigger, resource) { resource[Symbol("mine")] = 1 }']) {
    const program = `
      const { createHook, AsyncLocalStorage } = require('node:async_hooks')
      const hook = createHook({ ${hook} }).enable()
      const context = require(${JSON.stringify(require.resolve('../lib/context.js'))})
      hook.disable()
      const storage = new AsyncLocalStorage()
      console.log(storage.run(1, () => context.capture() !== null))`
    assert.equal(execFileSync(process.execPath, ['-e', program], { encoding: 'utf8' }), 'true\n')
  }
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

test('once calls once, in its caller\'s context or in none, and can be taken back', () => {
  const emitter = new EventEmitter()
  const seen = []
  function listener (...args) { seen.push([this === emitter, args, storage.getStore()]) }
  storage.run('caller', () => context.once(emitter, 'event', listener))
  context.once(emitter, 'event', listener)
  storage.run('emitter', () => {
    emitter.emit('event', 1, 2)
    emitter.emit('event', 3)
  })
  assert.deepEqual(seen, [[true, [1, 2], 'caller'], [true, [1, 2], undefined]])
  context.once(emitter, 'event', listener)
  assert.deepEqual(emitter.listeners('event'), [listener])
  emitter.removeListener('event', listener)
  assert.equal(emitter.listenerCount('event'), 0)
})
