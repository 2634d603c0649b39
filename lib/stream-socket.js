'use strict'

// The members of net.Socket that a stream has, so that http.Agent, tls and http2 accept it as a socket.
//
// This file may not: slow down a stream whose setTimeout() is not used, or change the connection for one stream.

const { getDefaultHighWaterMark } = require('node:stream')
const context = require('./context')
const { invalid } = require('./errors')
const { IdleTimer } = require('./idle-timer')
const { asOwn } = require('./node-buffer')
const { callback, MAX_UINT31 } = require('./options')

// The timers by stream. Most streams never have one.
const timeouts = new WeakMap()

// The methods that traffic passes through. While a stream has a timer, counters on the stream itself shadow them.
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
      // After 'timeout' was emitted, the next movement starts the time again.
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
      // A method that the program has set over the counter stays.
      if (stream[name] !== counter) continue
      if (isOwn) stream[name] = method
      else delete stream[name]
    }
  }

  // While the stream is told to wait, its bytes may be among those that leave the connection.
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
  /** The time that setTimeout() was given; 0 if there is none. */
  get timeout () { return timeouts.get(this)?.ms ?? 0 },

  /**
   * Emits 'timeout' after so many ms without a write or anything from the peer; 0 disables it. A timeout closes
   * nothing.
   */
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

  // The members below are for programs that take the stream for a socket of its own. They do nothing, because all
  // streams share the connection, which has methods of these names.

  setNoDelay () { return this },

  setKeepAlive () { return this },

  ref () { return this },

  unref () { return this },

  // The readable half keeps chunks apart, which in Node only object mode does, but what it delivers is bytes. Node's
  // layers over a Duplex (tls, http2) refuse object mode, and check nothing else.
  get readableObjectMode () { return false },

  // In bytes, as the mode says. The mark stops nobody: the connection, or credit, bounds how much may wait.
  get readableHighWaterMark () { return getDefaultHighWaterMark(false) }
}

/** Puts the members of a socket on a class of streams. */
function asSocket (Class) {
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(face))) {
    Object.defineProperty(Class.prototype, name, { ...descriptor, enumerable: false })
  }
}

module.exports = { asSocket }
