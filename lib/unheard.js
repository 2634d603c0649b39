'use strict'

// Streams that come while nobody listens to 'stream': they are acknowledged, as version 0.1.0 does, and wait, within
// limits, for the first listener. What is written on them waits as on any stream that nobody reads yet.
//
// This file may not: know what a stream carries, or emit anything but through its connection.

const { Duplex } = require('node:stream')
const { types } = require('node:util')
const { serve, UNHEARD } = require('./half-open')

/** Keeps a stream for a listener, or lets it go if too many wait. */
function add (connection, stream) {
  if (connection._unheard === null) connection._unheard = []
  const { maxPendingStreams } = connection._settings
  // The peer may have given some of them up.
  if (connection._unheard.length >= maxPendingStreams) connection._unheard = connection._unheard.filter(isLive)
  if (connection._unheard.length >= maxPendingStreams) return stream._onUnheard()
  stream._accept()
  stream._bits |= UNHEARD
  connection._unheard.push(stream)
}

/** A listener was added: what waits is announced to it, in a later tick, so that others can be added beside it. */
function listenerAdded (connection) {
  if (connection._unheard !== null) process.nextTick(announceAll, connection)
}

function announceAll (connection) {
  while (connection._unheard !== null && connection._owner._hearsStreams(connection)) {
    const stream = connection._unheard.shift()
    if (connection._unheard.length === 0) connection._unheard = null
    // A listener that throws: the others are announced in the next tick.
    else process.nextTick(announceAll, connection)
    if (stream === undefined || stream.destroyed) continue
    stream._bits &= ~UNHEARD
    try {
      connection._announce(stream)
    } finally {
      stream._endHeard()
    }
  }
}

function isLive (stream) { return !stream.destroyed }

// What an asynchronous listener of 'stream' returned: until that settles, it uses the stream.
function served (stream, result) {
  return stream instanceof Duplex ? serve(stream, result) : result
}

/** What takes the place of a 'stream' listener. */
function serving (listener) {
  if (!types.isAsyncFunction(listener)) return listener
  const wrapper = function (stream, ...rest) {
    return served(stream, Reflect.apply(listener, this, [stream, ...rest]))
  }
  wrapper.listener = listener // by which removeListener() finds it
  return wrapper
}

/** What takes the place of one that is called once. */
function servingOnce (emitter, listener) {
  let wasCalled = false
  const wrapper = function (stream, ...rest) {
    if (wasCalled) return undefined
    wasCalled = true
    emitter.removeListener('stream', wrapper)
    return served(stream, Reflect.apply(listener, this, [stream, ...rest]))
  }
  wrapper.listener = listener
  return wrapper
}

// What Connection and MuxClient do beside EventEmitter. `connectionOf` gives the connection of an emitter.
function installOn (prototype, EventEmitter, connectionOf) {
  const { on, prependListener, once, prependOnceListener } = EventEmitter.prototype
  const add = (method, replace) => function (event, listener) {
    if (event !== 'stream' || typeof listener !== 'function') return Reflect.apply(method, this, [event, listener])
    Reflect.apply(method, this, [event, replace(this, listener)])
    const connection = connectionOf(this)
    if (connection !== undefined) listenerAdded(connection)
    return this
  }
  // Node's own once() adds by way of on().
  const addOnce = (method, adding) => function (event, listener) {
    if (event !== 'stream' || !types.isAsyncFunction(listener)) return Reflect.apply(method, this, [event, listener])
    return Reflect.apply(adding, this, [event, listener])
  }
  const methods = {
    on: add(on, (emitter, listener) => serving(listener)),
    prependListener: add(prependListener, (emitter, listener) => serving(listener)),
    once: addOnce(once, add(on, servingOnce)),
    prependOnceListener: addOnce(prependOnceListener, add(prependListener, servingOnce))
  }
  methods.addListener = methods.on
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(prototype, name, { configurable: true, writable: true, value })
  }
}

module.exports = { add, installOn }
