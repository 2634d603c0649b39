'use strict'

// A connection as programs see it (the face of a net.Socket, without its bytes), and its life from connecting to
// 'close'. The parts (link, queue, wires, streams and others) own their state; this file joins them.
//
// This file may not: resolve names, accept or connect (server.js and client.js do), handle records (receiver.js does),
// or touch stream data.

const { EventEmitter } = require('node:events')
const { addressesOf } = require('./addresses')
const { WHOLE, op } = require('./boundary')
const { Budget } = require('./budget')
const context = require('./context')
const { Counts } = require('./counts')
const engine = require('./engine')
const { callerError, invalid, MuxProtocolError } = require('./errors')
const { IdleTimer } = require('./idle-timer')
const { describeConnection, inspectable } = require('./inspect')
const { Link } = require('./link')
const { callback, closeReason, integerIn, MAX_UINT31, wireCode } = require('./options')
const { Pings } = require('./pings')
const { receive } = require('./receiver')
const { Reference } = require('./reference')
const { capture, onRejection } = require('./rejections')
const secure = require('./secure')
const { SendQueue } = require('./send-queue')
const { StreamPool } = require('./stream-pool')
const { Streams } = require('./streams')
const { installOn } = require('./unheard')
const { Wires } = require('./wires')

/** A connection that a MuxServer or a MuxClient made. Programs do not construct one. */
class Connection extends EventEmitter {
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
    this.closeCode = undefined // the code that the peer gave close(), once it did
    this.closeReason = undefined
    this._owner = owner
    this._settings = settings
    this._context = asyncContext
    this._carrier = null // the stream.Duplex that carries the connection, if one does
    this._link = new Link()
    this._queue = new SendQueue(this, settings.writableHighWaterMark)
    this._reference = new Reference(this)
    this._wires = new Wires(settings.protocol)
    this._counts = new Counts(this)
    this._budget = new Budget(settings)
    this._streams = new Streams(this)
    this._secure = null // what the handshake agreed on, if the connection is encrypted
    this._expected = null // the server's name, and how the program itself compares a certificate with it
    this._pings = null
    this._idle = null // the timer of setTimeout()
    this._isPaused = false
    this._goesAway = false // goaway() was called
    this._peerGoesAway = false
    this._windowSize = 0 // the last argument of setLocalWindowSize()
    this._hasPeerEnded = false
    this._isReleased = false // native code has closed the connection
    this._isClosed = false // 'close' was emitted
    this._failure = null // the error that ends, or ended, this connection
    this._isReported = false // 'error' was emitted for that failure
    this.StreamPool = new StreamPool(this)
    if (settings.captureRejections) capture(this)
  }

  /** The wire in use: 'qmux' if both directions have switched, else 'legacy'. */
  get protocol () { return this._wires.isSwitched ? 'qmux' : 'legacy' }

  /** Bytes received on the connection itself, framing included. */
  get bytesRead () { return this._counts.bytes().read }

  /** Bytes sent or queued on the connection itself, framing included. */
  get bytesWritten () { return this._counts.bytes().written }

  get pending () { return this.connecting }

  get readyState () {
    if (this.connecting) return this.destroyed ? 'closed' : 'opening'
    if (this.destroyed || this._isClosed) return 'closed'
    return this._link.hasEnded ? 'readOnly' : 'open'
  }

  address () {
    if (this.localAddress === undefined) return {}
    return { address: this.localAddress, family: this.localFamily, port: this.localPort }
  }

  /** A plain object with the counts of this connection. */
  stats () { return this._counts.stats() }

  /** Measures a round trip to the peer, ahead of all that is queued. @returns {Promise<number>} ms */
  ping () {
    if (this.destroyed || this._link.hasEnded) return Promise.reject(this._reason())
    if (!this._wires.mayPing) return Promise.reject(callerError('ERR_MUX_NOT_SUPPORTED', 'ping()'))
    if (this._pings === null) this._pings = new Pings()
    return this._pings.add(this._wires.isSwitched && this._link.isOpen ? this._sendPing() : undefined)
  }

  /** Refuses all further streams of the peer's. Streams that are open go on. */
  goaway () {
    if (!this._goesAway) {
      this._goesAway = true
      this._link.command(op.GOAWAY, WHOLE, 0)
    }
    return this
  }

  /** Sets how many bytes the peer may send ahead of what is consumed, on all streams. The legacy wire has no credit. */
  setLocalWindowSize (bytes) {
    this._windowSize = integerIn('windowSize', bytes, 1, MAX_UINT31)
    this._link.command(op.RESIZE_WINDOW, WHOLE, bytes)
    return this
  }

  /** Closes at once, and tells the peer why. The legacy wire cannot tell. */
  close (code = 0, reason = '') {
    wireCode(code)
    closeReason(reason)
    if (this.destroyed) return this
    if (this._link.isOpen && this._wires.maySendQmux) {
      this._link.coded(op.CLOSE, WHOLE, code, reason)
      this._leave()
      engine.flush()
      return this
    }
    this.end()
    return this.destroy()
  }

  write () {
    throw callerError('ERR_MUX_RAW_WRITE')
  }

  /** Half-closes: sends what is queued, and then the FIN. The callback is called at 'finish'. */
  end (done, ...rest) {
    if (typeof done !== 'function') {
      if (done !== undefined && done !== null) throw callerError('ERR_MUX_RAW_WRITE')
      done = rest.find((value) => typeof value === 'function')
    }
    if (done !== undefined) context.once(this, 'finish', done)
    const link = this._link
    if (link.hasEnded || this.destroyed) return this
    link.hasEnded = true
    if (link.isOpen) this._sendEnd()
    return this
  }

  /** Closes at once. The kernel gets what write() took, as far as it has room; nothing waits. */
  destroy (error) {
    return this._destroy(error, false)
  }

  /** As destroy(), and the peer sees a reset. */
  resetAndDestroy () {
    return this._destroy(undefined, true)
  }

  /** Stops reading the socket. Data that was read already is still delivered. */
  pause () {
    if (!this._isPaused) {
      this._isPaused = true
      this._link.command(op.CONN_PAUSE, 0, 0)
      engine.flush() // what the peer sends from here on is not read
    }
    return this
  }

  resume () {
    if (this._isPaused) {
      this._isPaused = false
      this._link.command(op.CONN_RESUME, 0, 0)
    }
    return this
  }

  isPaused () { return this._isPaused }

  setNoDelay (noDelay = true) {
    noDelay = Boolean(noDelay)
    if (this._carrier !== null) this._carrier.setNoDelay(noDelay)
    else if (this._link.isOpen) engine.native.setNoDelay(this._link.number, noDelay)
    if (!this._link.isOpen) this._settings = { ...this._settings, noDelay }
    return this
  }

  /** @param {number} [initialDelay] in ms */
  setKeepAlive (enable = false, initialDelay = 0) {
    enable = Boolean(enable)
    if (!Number.isFinite(initialDelay) || initialDelay < 0) {
      throw invalid('initialDelay', 'a number of milliseconds', initialDelay)
    }
    const delay = Math.min(Math.floor(initialDelay), MAX_UINT31)
    if (this._carrier !== null) this._carrier.setKeepAlive(enable, delay)
    else if (this._link.isOpen) engine.native.setKeepAlive(this._link.number, enable, delay)
    if (!this._link.isOpen) this._settings = { ...this._settings, keepAlive: enable, keepAliveInitialDelay: delay }
    return this
  }

  /** Emits 'timeout' after so many ms without traffic; 0 disables it. A timeout closes nothing. */
  setTimeout (ms, listener) {
    if (typeof ms !== 'number' || !(ms >= 0)) throw invalid('msecs', 'a number of milliseconds', ms)
    callback('callback', listener)
    this._clearIdle()
    this.timeout = Math.min(ms, MAX_UINT31)
    if (this.timeout === 0) {
      if (listener) this.removeListener('timeout', listener)
      return this
    }
    if (listener) context.once(this, 'timeout', listener)
    if (!this._isClosed) this._idle = new IdleTimer(this, this.timeout)
    return this
  }

  ref () {
    if (this._carrier !== null) this._carrier.ref()
    this._reference.want(true)
    this._reference.update()
    return this
  }

  unref () {
    if (this._carrier !== null) this._carrier.unref()
    this._reference.want(false)
    // Queued bytes keep the process alive until they are sent.
    if (this._link.canSend()) this._reference.keepUntilSent()
    this._reference.update()
    return this
  }

  // ---- life, called by server.js and client.js ----

  /** A native connection was started under this number. */
  _start (number) {
    this._link.number = number
    engine.register(number, this)
    this._reference.update()
  }

  /** The connection is connected, between these ends. Returns whether the peer is who it should be. */
  _establish (ends) {
    this._setEnds(ends)
    this.connecting = false
    const link = this._link
    link.isOpen = true
    if (ends.wires !== undefined) this._wires.onWires(ends.wires) // the handshake agreed on QMux
    if (ends.tls && !secure.establish(this, ends.tls)) return false
    if (this._isPaused) link.command(op.CONN_PAUSE, 0, 0)
    this._streams.sendOpens()
    if (this._goesAway) link.command(op.GOAWAY, WHOLE, 0)
    if (this._windowSize > 0) link.command(op.RESIZE_WINDOW, WHOLE, this._windowSize)
    this._sendPings()
    if (link.hasEnded) this._sendEnd()
    this._reference.update()
    return true
  }

  /** Takes the addresses of both ends, in the form of native code. */
  _setEnds (ends) { Object.assign(this, addressesOf(ends)) }

  // ---- life, as native code tells it ----

  /** The peer has ended the connection: nothing more comes. */
  _onPeerEnd () {
    // Streams emit their 'end' in the ticks that follow, and the connection emits its own after them.
    this._hasPeerEnded = true
    setImmediate(emitEnd, this)
  }

  _emitEnd () {
    if (!this._hasPeerEnded) return // destroyed meanwhile
    try {
      context.emit(this._context, this, 'end')
    } finally {
      // Streams that the peer left open are cut off now, and so are opens that it did not answer.
      if (!this.destroyed) {
        const reason = callerError('ERR_MUX_CONNECTION_CLOSED')
        for (const stream of this._streams.all()) stream._onConnectionEnd(reason, false)
        if (!this._settings.allowHalfOpen) this.end()
      }
    }
  }

  _onFailed (error) {
    this._hasPeerEnded = false
    // A system error of a carrier's is the carrier's own.
    const own = error.syscall === undefined ? undefined : this._carrier?.error
    this._shut(own ?? this._noteClose(error))
    this._report()
  }

  /** The peer said why it ends the connection. `told` is the error of that close, or for code 0 the bare code. */
  _noteClose (told) {
    this.closeCode = told.closeCode
    this.closeReason = told.closeReason
    return told
  }

  /** Native code has closed the connection, and reports how many bytes moved. */
  _onReleased (bytes) {
    if (!this.destroyed) this._shut(null)
    this._counts.onClosed(bytes)
    this._isReleased = true
    const { number } = this._link
    this._link.number = -1
    engine.forget(number)
    this._reference.update()
    // The 'close' of the connection comes after an 'end' that is due, and after the 'close' of its streams.
    if (this._hasPeerEnded) setImmediate(finish, this)
    else process.nextTick(finish, this)
  }

  // ---- the end of the connection ----

  // Also ends a connection that failed before there was a native one, or for a reason that native code does not know.
  _destroy (error, hasReset) {
    if (this.destroyed) return this
    const failure = error || null
    this._hasPeerEnded = false
    this._shut(failure)
    const { number } = this._link
    if (number >= 0) {
      engine.flush()
      engine.native.destroy(number, hasReset)
    } else if (this._carrier !== null) {
      this._carrier.drop()
    }
    if (failure !== null || number < 0) process.nextTick(afterDestroy, this)
    return this
  }

  // From here on the connection carries nothing. Its streams are told now, and emit their events later.
  _shut (failure) {
    const link = this._link
    if (link.isOpen) this._counts.remember()
    this.destroyed = true
    link.isOpen = false
    this._failure = failure
    const reason = this._reason()
    const streams = this._streams.clear()
    this._queue.clear()
    for (const stream of streams) stream._onConnectionEnd(reason, true)
    link.fail(reason)
    if (this._pings !== null) this._pings.fail(reason)
    this._reference.release()
  }

  /** The server does not let this connection in after all, and tells the peer why. */
  _refuse ({ code, application, reason }) {
    engine.native.refuse(this._link.number, code, application, reason)
    this._leave()
  }

  // Native code closes the connection when the peer has been told, and then queues CONN_CLOSE.
  _leave () {
    this._hasPeerEnded = false
    this._shut(null)
  }

  // The error of whatever is asked of the connection after its end.
  _reason () { return this._failure || callerError('ERR_MUX_CONNECTION_CLOSED') }

  _report () {
    if (this._isReported || this._failure === null) return
    this._isReported = true
    context.run(this._context, this._owner._connectionError, this._owner, this, this._failure)
  }

  _emitClose () {
    if (this._isClosed) return
    this._isClosed = true
    this.connecting = false
    this._clearIdle()
    this._reference.update()
    const hadError = this._failure !== null
    try {
      context.emit(this._context, this, 'close', hadError)
    } finally {
      context.run(this._context, this._owner._connectionClosed, this._owner, this, hadError)
    }
  }

  /** Emits an event that a client passes on. */
  _tell (...args) {
    try {
      context.emit(this._context, this, ...args)
    } finally {
      this._owner._connectionTells(this, args)
    }
  }

  // ---- what the connection itself sends ----

  /** Calls back when the kernel has taken all that was queued before on a stream, or on all, or with an error. */
  _mark (handle, done) {
    if (this._link.isOpen) this._link.mark(handle, done)
    else process.nextTick(done, this._reason())
  }

  _sendEnd () {
    if (!this._reference.isWanted) this._reference.keepUntilSent()
    this._link.command(op.CONN_END, 0, 0)
    this._mark(WHOLE, (error) => { if (!error) context.emit(this._context, this, 'finish') })
  }

  _sendPing () {
    return (number) => this._link.command(op.PING, WHOLE, number)
  }

  // Pings that waited until the wire was known are sent now.
  _sendPings () {
    if (this._pings !== null && this._wires.isSwitched && this._link.isOpen) this._pings.go(this._sendPing())
  }

  // ---- the connection's streams ----

  /** Emits the 'stream' event of a stream. */
  _announce (stream) {
    try {
      this._owner._emitStream(this, stream)
    } finally {
      // The acknowledgement follows the event, whatever a listener did.
      stream._onAnnounced()
    }
  }

  // Native code has checked the text already. If it ever accepts more than JSON.parse, the peer is at fault.
  _parse (text) {
    try {
      return JSON.parse(text)
    } catch {
      this._destroy(new MuxProtocolError('ERR_MUX_JSON_INVALID'), false)
    }
  }

  // ---- called by the engine, and by timers ----

  /** The stream behind a handle, or the entry that stands in the table for it. */
  _stream (handle) { return this._streams.table.at(handle) }

  _record (kind, handle, offset, length, aux) { receive(this, kind, handle, offset, length, aux) }

  /** A flush returned how many bytes wait in native code. */
  _flushed (queued) {
    this._queue.onFlushed(queued)
    if (this._carrier !== null) this._carrier.takeSoon()
    if (this._idle !== null) this._idle.refresh()
  }

  _drained () { this._queue.tellDrained() }

  /** The number of bytes that really moved, in both directions. */
  _moved () { return this._counts.moved() }

  _onIdle () { this._tell('timeout') }

  _clearIdle () {
    if (this._idle !== null) this._idle.stop()
    this._idle = null
  }
}

function emitEnd (connection) { connection._emitEnd() }

function finish (connection) {
  try {
    connection._report()
  } finally {
    connection._emitClose()
  }
}

function afterDestroy (connection) {
  // Without a native connection, no CONN_CLOSE will come.
  if (connection._link.number < 0 && !connection._isReleased) finish(connection)
  else connection._report()
}

installOn(Connection.prototype, EventEmitter, (connection) => connection)
secure.installOn(Connection.prototype)

onRejection(Connection, 'stream', (connection, error) => connection.destroy(error))

inspectable(Connection, 'Connection', describeConnection)

module.exports = { Connection }
