'use strict'

// A connection as programs see it: what they knew as a net.Socket, less its bytes.
//
// This file may not: handle records, or send stream data (receiver.js and the streams do).

const { EventEmitter } = require('node:events')
const { peers } = require('./boundary')
const context = require('./context')
const engine = require('./engine')
const { callerError } = require('./errors')
const { IdleTimer } = require('./idle-timer')
const { describeConnection, inspectable } = require('./inspect')
const { callback, invalid, MAX_UINT31, wireCode } = require('./options')
const { Receiver } = require('./receiver')
const { capture, onRejection } = require('./rejections')
const { StreamPool } = require('./stream-pool')
const { installOn } = require('./unheard')

const { op } = engine

const PEERS = Object.keys(peers).map((name) => name.toLowerCase()) // by number

// A reason goes into one frame, and into somebody's log.
const MAX_REASON = 1024

/** What a MuxServer or a MuxClient made; programs do not construct it. */
class Connection extends Receiver {
  constructor (owner, settings, asyncContext) {
    super(owner, settings, asyncContext)
    this.StreamPool = new StreamPool(this)
    if (settings.captureRejections) capture(this)
  }

  /** The wire in use: 'qmux' once both directions have switched, else 'legacy'. */
  get protocol () { return this._isSwitched() ? 'qmux' : 'legacy' }

  /** Bytes received on the connection itself, framing included. */
  get bytesRead () { return this._bytes().read }

  /** Bytes sent or queued on the connection itself, framing included. */
  get bytesWritten () { return this._bytes().written }

  get pending () { return this.connecting }

  get readyState () {
    if (this.connecting) return this.destroyed ? 'closed' : 'opening'
    if (this.destroyed || this._closed) return 'closed'
    return this._ended ? 'readOnly' : 'open'
  }

  address () {
    if (this.localAddress === undefined) return {}
    return { address: this.localAddress, family: this.localFamily, port: this.localPort }
  }

  /** A plain object with the counts of this connection. */
  stats () {
    const { read: bytesRead, written: bytesWritten, queued: queuedBytes } = this._bytes()
    return {
      bytesRead,
      bytesWritten,
      queuedBytes,
      streamsOpened: this._opened,
      streamsAccepted: this._accepted,
      streamsLive: this._streams.live,
      discardedStreams: this._discardedStreams,
      discardedBytes: this._discardedBytes,
      peer: this._isForeign() ? 'foreign' : PEERS[this._peer],
      protocol: this.protocol
    }
  }

  /** A round trip to the peer, ahead of all that is queued. @returns {Promise<number>} ms */
  ping () {
    return this._ping()
  }

  /** Serves no more streams of the peer's than those that it has opened; what is open goes on. */
  goaway () {
    if (!this._goesAway) {
      this._goesAway = true
      this._command(op.GOAWAY, engine.WHOLE, 0)
    }
    return this
  }

  /** Closes at once, and tells the peer why. The legacy wire cannot tell. */
  close (code = 0, reason = '') {
    wireCode(code)
    if (typeof reason !== 'string' || Buffer.byteLength(reason) > MAX_REASON) {
      throw invalid('reason', `a string of at most ${MAX_REASON} bytes`, reason)
    }
    if (this.destroyed) return this
    if (this._open && this._maySendQmux()) {
      engine.coded(op.CLOSE, this._number, engine.WHOLE, code, reason)
      this._closeWithCode()
      return this
    }
    this.end()
    return this.destroy()
  }

  write () {
    throw callerError('ERR_MUX_RAW_WRITE')
  }

  /** Half-closes: what is queued is sent, then the peer sees the end. The callback is called at 'finish'. */
  end (done, ...rest) {
    if (typeof done !== 'function') {
      if (done !== undefined && done !== null) throw callerError('ERR_MUX_RAW_WRITE')
      done = rest.find((value) => typeof value === 'function')
    }
    if (done !== undefined) context.once(this, 'finish', done)
    if (this._ended || this.destroyed) return this
    this._ended = true
    if (this._open) this._sendEnd()
    return this
  }

  /** Closes at once. What write() took is sent if the kernel has room for it; nothing waits. */
  destroy (error) {
    return this._destroy(error, false)
  }

  /** As destroy(), and the peer sees a reset. */
  resetAndDestroy () {
    return this._destroy(undefined, true)
  }

  /** Stops reading the socket. Data that was read already is still delivered. */
  pause () {
    if (!this._paused) {
      this._paused = true
      this._command(op.CONN_PAUSE, 0, 0)
      engine.flush() // what is sent from here on is not read
    }
    return this
  }

  resume () {
    if (this._paused) {
      this._paused = false
      this._command(op.CONN_RESUME, 0, 0)
    }
    return this
  }

  isPaused () { return this._paused }

  setNoDelay (noDelay = true) {
    noDelay = Boolean(noDelay)
    if (this._open) engine.native.setNoDelay(this._number, noDelay)
    else this._settings = { ...this._settings, noDelay }
    return this
  }

  /** @param {number} [initialDelay] in ms */
  setKeepAlive (enable = false, initialDelay = 0) {
    enable = Boolean(enable)
    if (!Number.isFinite(initialDelay) || initialDelay < 0) {
      throw invalid('initialDelay', 'a number of milliseconds', initialDelay)
    }
    const delay = Math.min(Math.floor(initialDelay), MAX_UINT31)
    if (this._open) engine.native.setKeepAlive(this._number, enable, delay)
    else this._settings = { ...this._settings, keepAlive: enable, keepAliveInitialDelay: delay }
    return this
  }

  /** Emits 'timeout' after so many ms without traffic; 0 switches it off. Closes nothing. */
  setTimeout (ms, listener) {
    if (typeof ms !== 'number' || !(ms >= 0)) throw invalid('msecs', 'a number of milliseconds', ms)
    callback('callback', listener)
    this._stopIdle()
    this.timeout = Math.min(ms, MAX_UINT31)
    if (this.timeout === 0) {
      if (listener) this.removeListener('timeout', listener)
      return this
    }
    if (listener) context.once(this, 'timeout', listener)
    if (!this._closed) this._idle = new IdleTimer(this, this.timeout)
    return this
  }

  _onIdle () { this._tell('timeout') }

  ref () {
    this._wantsRef = true
    this._updateRef()
    return this
  }

  unref () {
    this._wantsRef = false
    // What is queued already keeps the process until it is sent.
    if (this._open && !this._ended) this._keepUntilSent()
    this._updateRef()
    return this
  }
}

installOn(Connection.prototype, EventEmitter, (connection) => connection)

onRejection(Connection, 'stream', (connection, error) => connection.destroy(error))

inspectable(Connection, 'Connection', describeConnection)

module.exports = { Connection }
