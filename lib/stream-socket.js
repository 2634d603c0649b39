'use strict'

// What a stream needs of a net.Socket's face, so that http.Agent, tls and http2 take it for one.
//
// This file may not: slow down a stream whose setTimeout() is not used, or change the connection for one stream.

const { getDefaultHighWaterMark } = require('node:stream')
const context = require('./context')
const { IdleTimer } = require('./idle-timer')
const { asOwn } = require('./node-buffer')
const { callback, invalid, MAX_UINT31 } = require('./options')

// By stream, where setTimeout() was called: most streams never have one.
const timeouts = new WeakMap()

// The methods that movement passes through. They are counted on the stream itself while its timer runs.
const COUNTED = ['write', '_data', '_onValue', '_onEnd', '_onUnblocked']

/** The timer of one stream, and the count of its movements. */
class Timeout {
  constructor (stream, ms) {
    this.ms = ms
    this._stream = stream
    this._count = 0
    this._counters = COUNTED.map((name) => [name, this._shadow(name)])
    this._idle = new IdleTimer(this, ms)
  }

  _shadow (name) {
    const stream = this._stream
    const isOwn = Object.hasOwn(stream, name)
    const method = stream[name]
    const timeout = this
    const counter = function (...args) {
      timeout._count++
      // 'timeout' was emitted: from here on the time runs again.
      if (timeout._idle._timer === null && !timeout._isOver) timeout._idle.refresh()
      return method.apply(this, args)
    }
    Object.defineProperty(stream, name, { value: counter, configurable: true, enumerable: isOwn, writable: true })
    return { counter, method, isOwn }
  }

  cancel () {
    this._isOver = true
    this._idle.stop()
    const stream = this._stream
    for (const [name, { counter, method, isOwn }] of this._counters) {
      // A program that has put a method of its own in front keeps it.
      if (stream[name] !== counter) continue
      if (isOwn) stream[name] = method
      else delete stream[name]
    }
  }

  // While the stream has been told to wait, what leaves the connection may be its own.
  _moved () {
    const stream = this._stream
    return this._count + (stream.writableNeedDrain ? stream._connection._moved() : 0)
  }

  _onIdle () {
    const stream = this._stream
    if (!stream.destroyed) context.emit(stream._context, stream, 'timeout')
  }
}

asOwn(cancelTimeout)

function cancelTimeout () {
  const timeout = timeouts.get(this)
  if (timeout === undefined) return
  timeouts.delete(this)
  timeout.cancel()
}

const face = {
  /** What setTimeout() was given; 0: none. */
  get timeout () { return timeouts.get(this)?.ms ?? 0 },

  /** Emits 'timeout' after so many ms without a write or anything from the peer; 0 switches it off. Closes nothing. */
  setTimeout (ms, listener) {
    if (typeof ms !== 'number' || !(ms >= 0)) throw invalid('msecs', 'a number of milliseconds', ms)
    callback('callback', listener)
    const isFirst = !timeouts.has(this)
    cancelTimeout.call(this)
    if (ms === 0) {
      if (isFirst === false) this.removeListener('close', cancelTimeout)
      if (listener) this.removeListener('timeout', listener)
      return this
    }
    if (listener) context.once(this, 'timeout', listener)
    if (this.destroyed) return this
    timeouts.set(this, new Timeout(this, Math.min(ms, MAX_UINT31)))
    if (isFirst) this.once('close', cancelTimeout)
    return this
  },

  // What follows is for programs that take the stream for a socket of its own. The connection is shared by all its
  // streams, and has methods of these names.

  setNoDelay () { return this },

  setKeepAlive () { return this },

  ref () { return this },

  unref () { return this },

  // The readable half keeps chunks apart, which in Node only object mode does, but what it delivers are bytes: Node's
  // layers over a Duplex (tls, http2) refuse object mode, because they ask for nothing else.
  get readableObjectMode () { return false },

  // In bytes, as the mode says. It stops nobody: how much may wait is bounded by the connection, or by credit.
  get readableHighWaterMark () { return getDefaultHighWaterMark(false) }
}

/** Puts that face on a class of streams. */
function asSocket (Class) {
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(face))) {
    Object.defineProperty(Class.prototype, name, { ...descriptor, enumerable: false })
  }
}

module.exports = { asSocket }
