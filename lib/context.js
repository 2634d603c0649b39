'use strict'

// Async contexts (AsyncLocalStorage), at no cost where none is active: the common case is null.
//
// This file may not: know what a stream or a connection is.

const { AsyncLocalStorage, AsyncResource } = require('node:async_hooks')

// Node has no public call that tells whether any storage is active, but an AsyncResource carries what is:
// up to Node 22 one property per storage, with AsyncContextFrame (the default from 24) one for all.
const STORES = new Set(['kResourceStore', 'context_frame'])

// What Node keeps in every resource.
const IDS = new Set(['async_id_symbol', 'trigger_async_id_symbol'])

// How many properties a resource has that holds no storage. 0: that cannot be told by their number, since a hook or a
// storage may add and take some away.
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

// A frame stays when the storages in it were left, with undefined for each.
function isEmptyFrame (stored) {
  // Node's own class, and no Map to instanceof.
  if (stored === null || typeof stored !== 'object' || stored.constructor?.name !== 'AsyncContextFrame') return false
  for (const value of stored.values()) if (value !== undefined) return false
  return true
}

// These names are Node's own affair. Where a later Node hides them every context is kept: slower, still right.
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

/** A callback bound to its caller's context; the function itself where there is none to keep. */
function bind (fn) {
  const context = capture()
  return context === null ? fn : (...args) => context.runInAsyncScope(fn, undefined, ...args)
}

/** As emitter.once(), in its caller's context. The emitter's own events are in that of its creation. */
function once (emitter, event, fn) {
  // Also where the caller has none: that of the emitter must not take its place.
  const context = new AsyncResource('MUX')
  const listener = (...args) => {
    emitter.removeListener(event, listener)
    return context.runInAsyncScope(fn, emitter, ...args)
  }
  listener.listener = fn // by which removeListener() finds it, as what once() makes
  emitter.on(event, listener)
}

// Requiring this file is the earliest moment we have: what runs on behalf of nobody runs in the context of that.
const root = new AsyncResource('MUX')

/**
 * A timer that keeps no process alive and belongs to nobody: the context of whoever comes by would leak into the events.
 */
function later (ms, fn, argument) {
  return root.runInAsyncScope(setTimeout, undefined, fn, ms, argument).unref()
}

module.exports = { bind, capture, emit, later, once, root, run }
