'use strict'

// Async contexts (AsyncLocalStorage). If no storage is active, a context is null and costs nothing; most contexts are
// null.
//
// This file may not: know what a stream or a connection is.

const { AsyncLocalStorage, AsyncResource } = require('node:async_hooks')

// Node has no public call that tells whether a storage is active. An AsyncResource carries the active storages: up to
// Node 22 in one property per storage, with AsyncContextFrame (the default from 24) in one property for all.
const STORES = new Set(['kResourceStore', 'context_frame'])

// The properties that Node keeps in every resource.
const IDS = new Set(['async_id_symbol', 'trigger_async_id_symbol'])

// The number of properties of a resource that holds no storage. If bare is 0, the number of properties proves nothing,
// because a hook or a storage may add and remove some.
let bare = 0

function capturedNothing (resource) {
  const symbols = Object.getOwnPropertySymbols(resource)
  if (symbols.length === bare) return true
  for (let i = 0; i < symbols.length; i++) {
    const stored = resource[symbols[i]]
    if (stored !== undefined && STORES.has(symbols[i].description) && !isEmptyFrame(stored)) return false
  }
  return true
}

// An AsyncContextFrame outlives the storages that were left: the frame then has undefined for each of them.
function isEmptyFrame (stored) {
  // The class is internal to Node, and no Map that `instanceof` would recognize.
  if (stored === null || typeof stored !== 'object' || stored.constructor?.name !== 'AsyncContextFrame') return false
  for (const value of stored.values()) if (value !== undefined) return false
  return true
}

// These names are internal to Node. If a later Node hides them, every context is kept, which is slower and still right.
const canTell = probe()

function probe () {
  const symbols = Object.getOwnPropertySymbols(new AsyncResource('MUX'))
  if (symbols.every((symbol) => IDS.has(symbol.description))) bare = symbols.length
  const storage = new AsyncLocalStorage()
  try {
    return storage.run(true, () => !capturedNothing(new AsyncResource('MUX')))
  } finally {
    storage.disable()
  }
}

/** @returns {AsyncResource|null} the context of the caller; null when no storage is active in it. */
function capture () {
  const resource = new AsyncResource('MUX')
  return canTell && capturedNothing(resource) ? null : resource
}

/** Runs `fn` in a captured context. */
function run (context, fn, self, ...args) {
  return context === null ? Reflect.apply(fn, self, args) : context.runInAsyncScope(fn, self, ...args)
}

/** Emits on `emitter` in a captured context. */
function emit (context, emitter, ...args) {
  return context === null ? emitter.emit(...args) : context.runInAsyncScope(emitter.emit, emitter, ...args)
}

/**
 * A callback bound to its caller's context. If the caller has no context to keep, bind() returns the function itself.
 */
function bind (fn) {
  const context = capture()
  return context === null ? fn : (...args) => context.runInAsyncScope(fn, undefined, ...args)
}

/**
 * As emitter.once(), but the listener runs in its caller's context. The emitter's own events run in the context of its
 * creation.
 */
function once (emitter, event, fn) {
  // The resource is made even if the caller has no storage: the emitter's context must not take the place of the
  // caller's.
  const context = new AsyncResource('MUX')
  const listener = (...args) => {
    emitter.removeListener(event, listener)
    return context.runInAsyncScope(fn, emitter, ...args)
  }
  listener.listener = fn // lets removeListener() find the wrapper, as with once()
  emitter.on(event, listener)
}

// This file is required before any program can act, so root is the earliest context there is. Code that runs on
// nobody's behalf runs in root.
const root = new AsyncResource('MUX')

/**
 * Starts a timer that does not keep the process alive, and that runs in root: the context of whoever starts the timer
 * would leak into the events that it causes.
 */
function later (ms, fn, argument) {
  return root.runInAsyncScope(setTimeout, undefined, fn, ms, argument).unref()
}

module.exports = { bind, capture, emit, later, once, root, run }
