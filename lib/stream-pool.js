'use strict'

// createStream(): the checks, the limit, and the wait for the acknowledgement of the peer.
//
// This file may not: send stream data, or emit events.

const { op } = require('./boundary')
const { govern, watch } = require('./abort')
const context = require('./context')
const { abortError, callerError, invalid, streamError } = require('./errors')
const { streamOptions } = require('./options')
const { capture } = require('./rejections')
const { MuxStream } = require('./stream')
const { Unreachable } = require('./unreachable')
const { boundedJson } = require('./values')

const NO_OPTIONS = { messages: true, signal: undefined, priority: undefined }

function noop () {}

/**
 * A stream that was asked for and is not acknowledged yet. The PendingOpen stands in the table until the MuxStream
 * does.
 */
class PendingOpen {
  constructor (connection, meta, json, options) {
    this._connection = connection
    this._pending = true
    this._meta = meta
    this._json = json // the text of the meta until it is sent
    this._messages = options.messages
    this._priority = options.priority
    this._signal = options.signal
    this._context = context.capture()
    this._counted = true
    this._over = false // nobody waits for the stream any more
    this._resolve = noop
    this._reject = noop
    this._unwatch = undefined
    this._handle = connection._streams.table.take(this)
    if (connection._link.isOpen) this._send()
    else connection._streams.unsent.push(this)
  }

  _send () {
    const connection = this._connection
    const link = connection._link
    const length = link.text(op.OPEN, this._handle, this._json)
    this._json = undefined
    if (this._priority !== undefined) link.command(op.PRIORITY, this._handle, this._priority)
    connection._counts.opened++
    connection._queue.add(length)
  }

  /** Ends the wait without a stream. */
  _fail (error) {
    if (this._over) return
    this._over = true
    this._unlisten()
    this._reject(error)
  }

  _unlisten () {
    if (this._unwatch !== undefined) this._unwatch()
    this._unwatch = undefined
  }

  _uncount () {
    if (!this._counted) return
    this._counted = false
    this._connection._streams.countDown(this._handle)
  }

  _watch (signal) {
    if (signal !== undefined) this._unwatch = watch(signal, () => this._abort())
  }

  _abort () {
    if (this._over) return
    this._fail(abortError(this._signal))
    if (this._json === undefined) return // the open was sent: its id and its place are taken until the acknowledgement
    const streams = this._connection._streams
    streams.unsent = streams.unsent.filter((open) => open !== this)
    this._uncount()
    streams.table.remove(this._handle)
  }

  _onOpened (id) {
    const connection = this._connection
    const link = connection._link
    if (!this._over && link.canSend()) {
      this._over = true
      this._unlisten()
      const signal = this._signal
      const stream = new MuxStream(connection, this._handle, id, this._meta, this._context, false, this._messages,
        connection._wires.sendsQmux)
      if (connection._settings.captureRejections) capture(stream)
      connection._streams.table.set(this._handle, stream)
      if (signal !== undefined) govern(stream, signal)
      this._resolve(stream)
      return
    }
    // Nobody wants the stream any more, or nobody could write to it.
    this._fail(callerError('ERR_MUX_CONNECTION_CLOSED'))
    this._pending = false
    this._uncount()
    if (link.canSend()) link.command(op.END, this._handle, 0)
    if (connection._wires.sendsQmux) link.command(op.DISCARD, this._handle, 0)
  }

  _onRefused (code) {
    if (this._over) return
    const connection = this._connection
    this._fail(streamError('ERR_MUX_STREAM_REFUSED', code))
    connection._tell('streamRefused', this._meta, code)
  }

  /** @returns {boolean} true: the handle may be used again at once */
  _onClosed () {
    this._uncount()
    this._fail(callerError('ERR_MUX_CONNECTION_CLOSED'))
    return true
  }

  _onConnectionEnd (reason, isOver) {
    if (isOver || this._pending) this._fail(reason)
  }

  // A peer cannot send on a stream that it has not acknowledged. Native code ensures that.
  _data () {}
  _wantsValue () { return false }
  _onValue () {}
  _onEnd () {}
  _onReset () {}
  _onStopped () {}
  _onUnread () {}
  _onBlocked () {}
  _onUnblocked () {}
}

/** `connection.StreamPool`: opens streams. */
class StreamPool {
  #connection

  constructor (connection) {
    this.#connection = connection
  }

  /**
   * The live streams by their ids, as a new object each time. If two have the same id, the stream that this end opened
   * is shown.
   */
  get streams () {
    const streams = {}
    for (const entry of this.#connection._streams.table.entries().reverse()) {
      const stream = entry instanceof Unreachable ? entry.stream : entry
      if (stream instanceof MuxStream && !stream.destroyed) streams[stream.id] = stream
    }
    return streams
  }

  /**
   * Opens a stream. With `done`, createStream() returns undefined, and calls `done.call(stream, stream)` when the peer
   * has acknowledged the stream. Without `done`, it returns a Promise of the stream.
   */
  createStream (meta, options, done) {
    if (typeof options === 'function') {
      done = options
      options = undefined
    } else if (done !== undefined && typeof done !== 'function') {
      throw invalid('callback', 'a function', done)
    }
    const checked = options === undefined || options === null ? NO_OPTIONS : streamOptions(options)
    const json = boundedJson(meta, 'This meta')
    const connection = this.#connection
    const { signal } = checked
    let failure
    if (signal !== undefined && signal.aborted) failure = abortError(signal)
    else if (connection.destroyed || connection._link.hasEnded) failure = connection._reason()
    else if (connection._peerGoesAway) failure = streamError('ERR_MUX_GOAWAY')
    if (failure !== undefined) {
      if (done === undefined) return ignorable(Promise.reject(failure))
      tellFailed(connection, failure, meta)
      return undefined
    }
    const { counted, limit } = connection._streams
    if (counted >= limit) throw callerError('ERR_MUX_STREAM_LIMIT', limit)

    const open = new PendingOpen(connection, meta, json, checked)
    open._watch(signal)
    if (done !== undefined) {
      open._resolve = (stream) => context.run(open._context, done, stream, stream)
      open._reject = (error) => tellFailed(connection, error, meta)
      return undefined
    }
    return ignorable(new Promise((resolve, reject) => {
      open._resolve = resolve
      open._reject = reject
    }))
  }
}

// The callback of version 0.1.0 uses its first argument at once, so it cannot be called without a stream. A program
// that wants to know of failures listens to 'streamFailed'.
function tellFailed (connection, error, meta) {
  const tell = () => connection._tell('streamFailed', error, meta)
  // The event runs in the context of the connection, and not in that of whoever opened the stream.
  context.root.runInAsyncScope(process.nextTick, process, tell)
}

// If the program ignores the Promise, its rejection is no unhandled one. If the program awaits it, it gets the
// rejection.
function ignorable (promise) {
  promise.catch(noop)
  return promise
}

module.exports = { StreamPool }
