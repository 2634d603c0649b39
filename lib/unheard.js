'use strict'

// Streams that come while nobody listens to 'stream'. As in version 0.1.0 they are acknowledged, and wait, within
// limits, for the first listener. Data on them waits as on any stream that nobody reads yet.
//
// This file may not: know what a stream carries, or emit anything but through its connection.

const { Duplex } = require('node:stream')
const { types } = require('node:util')
const context = require('./context')
const { PATIENCE, serve } = require('./half-open')

/** The streams of one connection that wait for a listener. */
class Unheard {
  constructor (connection) {
    this._connection = connection
    this._streams = []
  }

  get isEmpty () { return this._streams.length === 0 }

  /** Keeps a stream for a listener. If too many wait, the stream is acknowledged and its data is dropped. */
  add (stream) {
    const { maxPendingStreams } = this._connection._settings
    // The peer may have given up some of the streams that wait.
    if (this._streams.length >= maxPendingStreams) this._streams = this._streams.filter(isLive)
    if (this._streams.length >= maxPendingStreams) return stream._onUnheard()
    stream._accept()
    stream._unheard = new Wait(stream)
    this._streams.push(stream)
  }

  /**
   * A listener was added. The streams are announced to it in a later tick, so that other listeners can be added beside
   * it.
   */
  onListener () {
    if (!this.isEmpty) process.nextTick(announceAll, this)
  }

  _announceAll () {
    const connection = this._connection
    while (!this.isEmpty && connection._owner._hearsStreams(connection)) {
      const stream = this._streams.shift()
      // If a listener throws, the other streams are announced in the next tick.
      if (!this.isEmpty) process.nextTick(announceAll, this)
      if (!stream.destroyed) stream._unheard.announce()
    }
  }
}

function announceAll (unheard) { unheard._announceAll() }

/** One stream that waits. */
class Wait {
  constructor (stream) {
    this._stream = stream
    this._reason = null // the reason for which the connection's end ends the stream
  }

  announce () {
    const stream = this._stream
    stream._unheard = null
    try {
      stream._connection._announce(stream)
    } finally {
      if (this._reason !== null) setImmediate(endHeard, this)
    }
  }

  /** A stream that keeps much data does not wait for a listener after the end of the connection. */
  onConnectionEnd (reason, isOver) {
    this._reason = reason
    if (!isOver) return
    const stream = this._stream
    if (stream._reader.earlyBytes > stream._connection._settings.unclaimedLimit) drop(this)
    else context.later(PATIENCE, drop, this)
  }
}

// Listeners that want the data of the stream have asked for it by now.
function endHeard ({ _stream: stream, _reason: reason }) {
  stream._onConnectionEnd(reason, stream._connection.destroyed)
}

function drop (wait) {
  const stream = wait._stream
  if (stream.destroyed || stream._unheard !== wait) return
  stream._unheard = null
  stream._reader.discard(0)
  stream._onConnectionEnd(wait._reason, true)
}

function isLive (stream) { return !stream.destroyed }

// `result` is what an asynchronous 'stream' listener returned: the listener uses the stream until that promise settles.
function served (stream, result) {
  return stream instanceof Duplex ? serve(stream, result) : result
}

/** Returns a listener in place of a 'stream' listener. */
function serving (listener) {
  if (!types.isAsyncFunction(listener)) return listener
  const wrapper = function (stream, ...rest) {
    return served(stream, Reflect.apply(listener, this, [stream, ...rest]))
  }
  wrapper.listener = listener // lets removeListener() find the wrapper
  return wrapper
}

/** Returns a listener in place of a 'stream' listener that is called once. */
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

// Puts the methods that add listeners on Connection and MuxClient. `connectionOf` returns the connection of an emitter.
function installOn (prototype, EventEmitter, connectionOf) {
  const { on, prependListener, once, prependOnceListener } = EventEmitter.prototype
  const add = (method, replace) => function (event, listener) {
    if (event !== 'stream' || typeof listener !== 'function') return Reflect.apply(method, this, [event, listener])
    Reflect.apply(method, this, [event, replace(this, listener)])
    const connection = connectionOf(this)
    if (connection !== undefined) connection._streams.unheard.onListener()
    return this
  }
  // Node's own once() adds its wrapper by on().
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

module.exports = { Unheard, installOn }
