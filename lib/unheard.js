'use strict'

// Streams that come while nobody listens to 'stream': they are acknowledged, as version 0.1.0 does, and wait, within
// limits, for the first listener. What is written on them waits as on any stream that nobody reads yet.
//
// This file may not: know what a stream carries, or emit anything but through its connection.

const { Duplex } = require('node:stream')
const { types } = require('node:util')
const context = require('./context')
const { PATIENCE, serve } = require('./half-open')

/** The streams of one connection that wait. */
class Unheard {
  constructor (connection) {
    this._connection = connection
    this._streams = []
  }

  get isEmpty () { return this._streams.length === 0 }

  /** Keeps a stream for a listener, or lets it go if too many wait. */
  add (stream) {
    const { maxPendingStreams } = this._connection._settings
    // The peer may have given some of them up.
    if (this._streams.length >= maxPendingStreams) this._streams = this._streams.filter(isLive)
    if (this._streams.length >= maxPendingStreams) return stream._onUnheard()
    stream._accept()
    stream._unheard = new Wait(stream)
    this._streams.push(stream)
  }

  /** A listener was added: what waits is announced to it, in a later tick, so that others can be added beside it. */
  onListener () {
    if (!this.isEmpty) process.nextTick(announceAll, this)
  }

  _announceAll () {
    const connection = this._connection
    while (!this.isEmpty && connection._owner._hearsStreams(connection)) {
      const stream = this._streams.shift()
      // A listener that throws: the others are announced in the next tick.
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
    this._reason = null // why the stream ends: the connection has
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

  /** A stream with much to keep does not wait for a listener behind the end of the connection. */
  onConnectionEnd (reason, isOver) {
    this._reason = reason
    if (!isOver) return
    const stream = this._stream
    if (stream._reader.earlyBytes > stream._connection._settings.unclaimedLimit) drop(this)
    else context.later(PATIENCE, drop, this)
  }
}

// Listeners have asked for what the stream has, if they want it.
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
    if (connection !== undefined) connection._streams.unheard.onListener()
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

module.exports = { Unheard, installOn }
