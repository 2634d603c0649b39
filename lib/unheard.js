'use strict'

// Streams that come while nobody listens to 'stream': they are acknowledged, as version 0.1.0 does, and wait, within
// limits, for the first listener. What is written on them waits as on any stream that nobody reads yet.
//
// This file may not: know what a stream carries, or emit anything but through its connection.

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
  const waiting = connection._unheard
  if (waiting === null) return
  while (waiting.length > 0) {
    if (!connection._owner._hearsStreams(connection)) return
    const stream = waiting.shift()
    stream._bits &= ~UNHEARD
    if (stream.destroyed) continue
    // A listener that throws: the others are announced in the next tick.
    if (waiting.length > 0) process.nextTick(announceAll, connection)
    connection._announce(stream)
    stream._endHeard()
  }
  connection._unheard = null
}

function isLive (stream) { return !stream.destroyed }

/** What takes the place of a 'stream' listener: if that returns a promise, the stream is in use until it settles. */
function serving (listener) {
  const wrapper = function (stream, ...rest) {
    return served(stream, Reflect.apply(listener, this, [stream, ...rest]))
  }
  wrapper.listener = listener // by which removeListener() finds it
  return wrapper
}

/** What takes the place of a 'stream' listener that is called once, likewise. */
function servingOnce (emitter, listener) {
  const wrapper = function (stream, ...rest) {
    emitter.removeListener('stream', wrapper)
    return served(stream, Reflect.apply(listener, this, [stream, ...rest]))
  }
  wrapper.listener = listener
  return wrapper
}

function served (stream, result) {
  return isPromise(result) ? serve(stream, result) : result
}

function isPromise (value) {
  return typeof value === 'object' && value !== null && typeof value.then === 'function'
}

// What Connection and MuxClient do beside EventEmitter. `connectionOf` gives the connection of an emitter.
function installOn (prototype, EventEmitter, connectionOf) {
  const add = (method) => function (event, listener) {
    if (event !== 'stream' || typeof listener !== 'function') return Reflect.apply(method, this, [event, listener])
    Reflect.apply(method, this, [event, serving(listener)])
    const connection = connectionOf(this)
    if (connection !== undefined) listenerAdded(connection)
    return this
  }
  const once = (name) => {
    const method = EventEmitter.prototype[name]
    return function (event, listener) {
      if (event === 'stream' && typeof listener === 'function') {
        return name === 'once' ? this.on(event, servingOnce(this, listener))
          : this.prependListener(event, servingOnce(this, listener))
      }
      return Reflect.apply(method, this, [event, listener])
    }
  }
  const methods = {
    on: add(EventEmitter.prototype.on),
    prependListener: add(EventEmitter.prototype.prependListener),
    once: once('once'),
    prependOnceListener: once('prependOnceListener')
  }
  methods.addListener = methods.on
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(prototype, name, { configurable: true, writable: true, value })
  }
}

module.exports = { add, installOn }
