'use strict'

// The engine's side of a connection: commands out, its streams by handle, its life from connecting to 'close'.
//
// This file may not: resolve names, accept or connect (server.js and client.js do), touch stream data, read records
// (receiver.js does), or offer anything to programs (connection.js does).

const { EventEmitter } = require('node:events')
const context = require('./context')
const engine = require('./engine')
const { callerError } = require('./errors')
const { Marks } = require('./marks')
const { priority } = require('./options')
const { Pings } = require('./pings')
const { Outliving } = require('./outliving')
const { StreamTable } = require('./stream-table')
const { Unheard } = require('./unheard')
const { Sweep } = require('./unreachable')

const { op } = engine

// Of WIRES: what is spoken in which direction, and with whom.
const SENDS = 1
const RECEIVES = 2
const FOREIGN = 4
const HEARS_UNREAD = 8
const SWITCHED = SENDS | RECEIVES

// The legacy wire has one byte for the id of a stream.
const LEGACY_STREAMS = 256

// The peer's kinds, as native code counts them.
const OLD = 1
const NEW = 2

class Link extends EventEmitter {
  /** @param owner the MuxServer or MuxClient that made it */
  constructor (owner, settings, asyncContext) {
    super()
    this.connecting = true
    this.destroyed = false
    this.timeout = 0 // ms
    this.remoteAddress = undefined
    this.remotePort = undefined
    this.remoteFamily = undefined
    this.localAddress = undefined
    this.localPort = undefined
    this.localFamily = undefined
    this.closeCode = undefined // what the peer gave close(), once it did
    this.closeReason = undefined
    this._owner = owner
    this._settings = settings
    this._context = asyncContext
    this._number = -1 // of the native connection, while there is one
    this._open = false // connected and not closed: commands may be sent
    this._ended = false // end() was called
    this._peerEnded = false
    this._closing = false // native code is done with it
    this._closed = false // 'close' was emitted
    this._failure = null // the error that ends, or ended, this connection
    this._reported = false // 'error' was emitted for it
    this._streams = new StreamTable()
    this._unsent = [] // opens that wait for the connect
    this._marks = new Marks()
    this._queued = 0 // bytes not yet taken by the kernel, as far as known
    this._highWater = settings.writableHighWaterMark
    this._lowWater = Math.floor(settings.writableHighWaterMark / 2)
    this._waiting = [] // writing halves that owe a 'drain'
    this._blocks = 0 // how often a stream was told that it is blocked
    this._outliving = new Outliving() // streams that native code is done with and the program is not
    this._valuesHeld = 0 // bytes of large end values that nobody has read
    this._metaCost = 0 // what the metas take that the program has looked at
    this._sweep = new Sweep(this) // looks for streams which the program cannot reach
    this._unheard = new Unheard(this) // streams that wait for a 'stream' listener
    this._wantsRef = true
    this._hasRef = false
    this._busy = false // unref'd, yet something is still to be sent
    this._idle = null // the timer of setTimeout()
    this._paused = false
    this._peer = 0 // 0: undecided, 1: old, 2: new
    this._wires = settings.protocol === 'qmux' ? SWITCHED : 0
    this._pings = null
    this._goesAway = false // goaway() was called
    this._peerGoesAway = false
    this._read = 0
    this._written = 0
    this._opened = 0
    this._accepted = 0
    this._discardedStreams = 0
    this._discardedBytes = 0
  }

  // ---- life, called by server.js and client.js ----

  /** A native connection was started. */
  _start (number) {
    this._number = number
    engine.register(number, this)
    this._updateRef()
  }

  /** It is connected; `text` tells the addresses. */
  _establish (text) {
    const { local, remote } = JSON.parse(text)
    if (local) {
      this.localAddress = local.address
      this.localFamily = local.family
      this.localPort = local.port
    }
    if (remote) {
      this.remoteAddress = remote.address
      this.remoteFamily = remote.family
      this.remotePort = remote.port
    }
    this.connecting = false
    this._open = true
    if (this._paused) this._command(op.CONN_PAUSE, 0, 0)
    const unsent = this._unsent
    this._unsent = []
    for (const open of unsent) open._send()
    if (this._goesAway) this._command(op.GOAWAY, engine.WHOLE, 0)
    if (this._isSwitched()) this._sendPings()
    if (this._ended) this._sendEnd()
    this._updateRef()
  }

  /** It failed before there was a native connection, or for a reason native code does not know. */
  _destroy (error, reset) {
    if (this.destroyed) return this
    const failure = error || null
    this._peerEnded = false
    this._shut(failure)
    if (this._number >= 0) {
      engine.flush()
      engine.native.destroy(this._number, reset)
    }
    if (failure !== null || this._number < 0) process.nextTick(afterDestroy, this)
    return this
  }

  // Native code ends it when the peer has been told, and says CONN_CLOSE then.
  _closeWithCode () {
    this._peerEnded = false
    this._shut(null)
    engine.flush()
  }

  // From here on the connection carries nothing. Its streams learn it now, their events come later.
  _shut (failure) {
    if (this._open) this._remember()
    this.destroyed = true
    this._open = false
    this._failure = failure
    const reason = failure || callerError('ERR_MUX_CONNECTION_CLOSED')
    const streams = this._allStreams()
    this._streams = new StreamTable()
    this._unsent = []
    this._waiting = []
    this._queued = 0
    this._busy = false
    for (const stream of streams) stream._onConnectionEnd(reason, true)
    this._marks.fail(reason)
    if (this._pings !== null) this._pings.fail(reason)
    this._updateRef()
  }

  /** The peer told why it ends the connection: `told` is the error of that, or stands in its place for code 0. */
  _noteClose (told) {
    this.closeCode = told.closeCode
    this.closeReason = told.closeReason
    return told
  }

  /** Emits an event that a client passes on. */
  _tell (...args) {
    try {
      context.emit(this._context, this, ...args)
    } finally {
      this._owner._connectionTells(this, args)
    }
  }

  _report () {
    if (this._reported || this._failure === null) return
    this._reported = true
    context.run(this._context, this._owner._connectionError, this._owner, this, this._failure)
  }

  _close () {
    if (this._closed) return
    this._closed = true
    this.connecting = false
    this._stopIdle()
    this._updateRef()
    const hadError = this._failure !== null
    try {
      context.emit(this._context, this, 'close', hadError)
    } finally {
      context.run(this._context, this._owner._connectionClosed, this._owner, this, hadError)
    }
  }

  _knowPeer (isNew) { this._peer = isNew ? NEW : OLD }

  // ---- commands ----

  _command (code, handle, argument) {
    if (this._open) engine.put(code, this._number, handle, argument)
  }

  /** Whether streams may still send. */
  _canSend () { return this._open && !this._ended }

  // The number of bytes about to be queued; false as a return tells a writer to wait for 'drain'.
  _count (bytes) {
    this._queued += bytes
    if (!this._wantsRef && !this._busy) this._keepUntilSent()
    return this._queued < this._highWater
  }

  /** Calls back when the kernel took all that was queued before on a stream, or on all, or with the error that came first. */
  _mark (handle, done) {
    if (!this._open) {
      process.nextTick(done, this._reason())
      return
    }
    engine.put(op.MARK, this._number, handle, this._marks.add(done))
  }

  // Why nothing can be done with this connection any more.
  _reason () { return this._failure || callerError('ERR_MUX_CONNECTION_CLOSED') }

  _sendEnd () {
    if (!this._wantsRef) this._keepUntilSent()
    engine.put(op.CONN_END, this._number, 0, 0)
    this._mark(engine.WHOLE, (error) => { if (!error) context.emit(this._context, this, 'finish') })
  }

  _keepUntilSent () {
    if (this._busy || !this._open) return
    this._busy = true
    this._updateRef()
    this._mark(engine.WHOLE, (error) => {
      this._busy = false
      // More was written meanwhile.
      if (!error && !this._wantsRef && this._queued > 0) this._keepUntilSent()
      this._updateRef()
    })
  }

  _updateRef () {
    const alive = this._number >= 0 && !this._closed
    // A connect under way keeps the process in any case, as it does in net: libuv counts the request itself.
    const wants = alive && (this._wantsRef || this._busy || this.connecting)
    if (wants === this._hasRef) return
    this._hasRef = wants
    if (wants) engine.ref()
    else engine.unref()
  }

  // ---- streams ----

  /** The stream, or the open that waits, behind a handle. */
  _stream (handle) { return this._streams.at(handle) }

  /** All streams that the program may still wait for, and the opens. */
  _allStreams () { return this._streams.entries().concat(this._outliving.entries()) }

  /** Native code is done with a stream, and the program is not. */
  _outlives (stream) {
    if (this.destroyed) setImmediate(endStream, stream)
    else this._outliving.add(stream)
  }

  /** The half of a stream of the peer's waits for its program. */
  _halfWaits () { this._sweep.start() }

  /** Whether an end value that nobody has asked for is kept: half of what may be held is left to what somebody has. */
  _keepsValue (bytes) { return this._valuesHeld + bytes <= this._settings.maxHeld / 2 }

  /** Whether what this end sends are QMux records: then streams have both directions. */
  _sendsQmux () { return (this._wires & SENDS) !== 0 }

  /** Whether this end sends QMux records, or may yet turn out to. */
  _maySendQmux () { return this._sendsQmux() || (this._peer === 0 && this._settings.protocol !== 'legacy') }

  _isSwitched () { return (this._wires & SWITCHED) === SWITCHED }

  _isForeign () { return (this._wires & FOREIGN) !== 0 }

  /** Whether the peer says when nobody there reads an answer. A foreign one has no way to. */
  _hearsUnread () { return (this._wires & HEARS_UNREAD) !== 0 }

  /** How many streams may live. */
  _limit () {
    const { maxStreams } = this._settings
    // While the peer may still turn out to be new, more than an old one takes may wait.
    return this._maySendQmux() ? maxStreams : Math.min(maxStreams, LEGACY_STREAMS)
  }

  /** How many streams count against the limit: version 0.1.0 draws the ids of both directions from one table. */
  _live () { return this._sendsQmux() ? this._streams.localLive : this._streams.live }

  _prioritise (handle, options) {
    this._command(op.PRIORITY, handle, priority(options))
  }

  _countDown (handle) {
    if (!this.destroyed) this._streams.countDown(handle)
  }

  _discarded (streams, bytes) {
    this._discardedStreams += streams
    this._discardedBytes += bytes
  }

  // ---- what the engine calls ----

  /** Results of a flush: bytes that wait in native code. */
  _flushed (queued) {
    this._queued = queued
    if (this._waiting.length > 0 && queued <= this._lowWater) engine.drainSoon(this)
    if (this._idle !== null) this._idle.refresh()
  }

  // Whoever was told first may have filled the queue again; then it is told once more when that has drained.
  _drained () {
    if (this._waiting.length > 0 && this._queued <= this._lowWater && !this._isAboutToBlock()) this._emitDrain()
  }

  /** Whether a stream that waits for its reader is yet to be told so: what has left the queue then waits there. */
  _isAboutToBlock () {
    return this._open && this._sendsQmux() && engine.native.blockedEvents(this._number) !== this._blocks
  }

  /** Bytes that wait on a stream for the peer's reader. */
  _waitingBytes (handle) { return this._open ? engine.native.waitingBytes(this._number, handle) : 0 }

  /** One of the streams was told. */
  _onBlocked () {
    this._blocks = this._blocks + 1 >>> 0
    if (this._waiting.length > 0) engine.drainSoon(this)
  }

  _emitDrain () {
    const waiting = this._waiting
    this._waiting = []
    let i = 0
    try {
      while (i < waiting.length) waiting[i++].onDrained()
    } finally {
      if (i < waiting.length) {
        this._waiting = waiting.slice(i).concat(this._waiting)
        engine.drainSoon(this)
      }
    }
  }

  /** A closed stream's handle may be used again. */
  _free (handle) {
    if (!this._open) return
    this._streams.remove(handle)
    if ((handle & 1) === 1) this._command(op.FORGET, handle, 0)
  }

  /** A round trip to the peer. @returns {Promise<number>} ms */
  _ping () {
    if (this.destroyed || this._ended) return Promise.reject(this._reason())
    const isSwitched = this._isSwitched()
    if (!isSwitched && (this._peer === OLD || this._settings.protocol === 'legacy')) {
      return Promise.reject(callerError('ERR_MUX_NOT_SUPPORTED', 'ping()'))
    }
    if (this._pings === null) this._pings = new Pings()
    return this._pings.add(isSwitched && this._open ? this._sendPing() : undefined)
  }

  _sendPing () {
    return (number) => this._command(op.PING, engine.WHOLE, number)
  }

  _sendPings () {
    if (this._pings !== null && this._open) this._pings.go(this._sendPing())
  }

  _stopIdle () {
    if (this._idle !== null) this._idle.stop()
    this._idle = null
  }

  // ---- counts ----

  _bytes () {
    if (!this._open) return [this._read, this._written, 0]
    engine.flush()
    const counts = this._counts()
    // What is known of the peer stays known.
    if (this._peer === 0) this._peer = counts[3]
    return counts
  }

  _counts () {
    return (this._open && engine.native.stats(this._number)) || [this._read, this._written, 0, this._peer]
  }

  _remember () {
    const [read, written] = this._bytes()
    this._read = read
    this._written = written
  }

  // Bytes that really moved, either way. Flushes nothing: it is asked in the midst of a flush, too.
  _moved () {
    const [read, written, queued] = this._counts()
    return read + written - queued
  }
}

// Somebody listens to a stream that the connection has left behind.
function endStream (stream) {
  stream._onConnectionEnd(stream._connection._reason(), true)
}

function finish (connection) {
  try {
    connection._report()
  } finally {
    connection._close()
  }
}

function afterDestroy (connection) {
  // Without a native connection nobody else will tell that it is over.
  if (connection._number < 0 && !connection._closing) finish(connection)
  else connection._report()
}

module.exports = { Link, finish }
