'use strict'

// The engine's side of a connection: records in, commands out, its streams by handle, its life from connecting to
// 'close'.
//
// This file may not: resolve names, accept or connect (server.js and client.js do), touch stream data, or offer
// anything to programs (connection.js does).

const { EventEmitter } = require('node:events')
const context = require('./context')
const engine = require('./engine')
const { callerError, connectionError, MuxProtocolError } = require('./errors')
const { Marks } = require('./marks')
const { MuxStream } = require('./stream')
const { StreamTable } = require('./stream-table')

const { op } = engine

// Kinds of records; the numbers are the boundary's.
const JSON_DATA = 2
const STREAM = 3
const OPENED = 4
const END = 5
const CLOSED = 6
const DRAIN = 7
const MARKED = 8
const PEER = 9
const CONNECTED = 17
const CONN_END = 18
const CONN_ERROR = 19
const CONN_CLOSE = 20

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
    this._waiting = [] // streams that owe a 'drain'
    this._wantsRef = true
    this._hasRef = false
    this._busy = false // unref'd, yet something is still to be sent
    this._idle = null // the timer of setTimeout()
    this._paused = false
    this._peer = 0 // 0: undecided, 1: old, 2: new
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

  // From here on the connection carries nothing. Its streams learn it now, their events come later.
  _shut (failure) {
    if (this._open) this._remember()
    this.destroyed = true
    this._open = false
    this._failure = failure
    const reason = failure || callerError('ERR_MUX_CONNECTION_CLOSED')
    const streams = this._streams.entries()
    this._streams = new StreamTable()
    this._unsent = []
    this._waiting = []
    this._queued = 0
    this._busy = false
    for (const stream of streams) stream._connectionClosed(reason)
    this._marks.fail(reason)
    this._updateRef()
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

  /** Calls back when the kernel took all that was queued before, or with the error that came first. */
  _mark (done) {
    if (!this._open) {
      process.nextTick(done, this._failure || callerError('ERR_MUX_CONNECTION_CLOSED'))
      return
    }
    engine.put(op.MARK, this._number, 0, this._marks.add(done))
  }

  _sendEnd () {
    if (!this._wantsRef) this._keepUntilSent()
    engine.put(op.CONN_END, this._number, 0, 0)
    this._mark((error) => { if (!error) context.emit(this._context, this, 'finish') })
  }

  _keepUntilSent () {
    if (this._busy || !this._open) return
    this._busy = true
    this._updateRef()
    this._mark((error) => {
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
    if (this._waiting.length > 0 && this._queued <= this._lowWater) this._emitDrain()
  }

  _emitDrain () {
    const waiting = this._waiting
    this._waiting = []
    let i = 0
    try {
      while (i < waiting.length) waiting[i++]._emitDrain()
    } finally {
      if (i < waiting.length) {
        this._waiting = waiting.slice(i).concat(this._waiting)
        engine.drainSoon(this)
      }
    }
  }

  _record (kind, handle, offset, length, aux) {
    if (this._idle !== null) this._idle.refresh()
    if (kind === CONN_CLOSE) return this._onClose(offset, length)
    if (this.destroyed) return
    switch (kind) {
      case STREAM: return this._onStream(handle, engine.textAt(offset, length), aux)
      case OPENED: {
        const entry = this._stream(handle)
        if (entry !== undefined) entry._onOpened(aux)
        return
      }
      case END: {
        const stream = this._stream(handle)
        if (stream !== undefined) stream._onEnd(aux === 1 ? engine.cut(offset, length) : undefined)
        return
      }
      case JSON_DATA: {
        const stream = this._stream(handle)
        if (stream === undefined || !stream._wantsValue(length)) return
        const value = this._parse(engine.textAt(offset, length))
        if (!this.destroyed) stream._onValue(value, length)
        return
      }
      case CLOSED: return this._onStreamClosed(handle)
      case MARKED: return this._marks.reach(aux)
      case DRAIN:
        // Since this was said more may have been written, and sent.
        engine.flush()
        this._queued = engine.native.queuedBytes(this._number)
        this._drained()
        return
      case PEER:
        this._peer = aux === 1 ? 2 : 1
        return
      case CONNECTED:
        this._establish(engine.textAt(offset, length))
        this._owner._connected(this)
        return
      case CONN_END:
        // Streams emit their 'end' in the ticks that follow; the connection's comes after them.
        this._peerEnded = true
        setImmediate(emitEnd, this)
        return
      case CONN_ERROR:
        this._peerEnded = false
        this._shut(connectionError(engine.textAt(offset, length)))
        this._report()
    }
  }

  // Native code has checked the text. Should its idea of JSON ever be wider than JSON.parse's, the peer is at fault.
  _parse (text) {
    try {
      return JSON.parse(text)
    } catch {
      this._destroy(new MuxProtocolError('ERR_MUX_JSON_INVALID'), false)
    }
  }

  _onStream (handle, text, id) {
    const meta = this._parse(text)
    if (this.destroyed) return
    const stream = new MuxStream(this, handle, id, meta, this._context, true, true)
    this._streams.set(handle, stream)
    this._accepted++
    let heard = true
    try {
      heard = this._owner._emitStream(this, stream)
    } finally {
      // The acknowledgement follows the event, whatever a listener did. Behind our own end there is none.
      if (this._canSend()) this._command(op.ACCEPT, handle, 0)
      stream._onAccepted(heard)
    }
  }

  _onStreamClosed (handle) {
    const entry = this._streams.remove(handle)
    if ((handle & 1) === 1) this._command(op.FORGET, handle, 0)
    if (entry !== undefined) entry._onClosed()
  }

  _emitEnd () {
    if (!this._peerEnded) return // destroyed meanwhile
    try {
      context.emit(this._context, this, 'end')
    } finally {
      // Nothing more comes: streams the peer left open, and opens it did not answer, are cut off now.
      if (!this.destroyed) {
        const reason = callerError('ERR_MUX_CONNECTION_CLOSED')
        for (const stream of this._streams.entries()) {
          if (stream._pending || stream._out === 0) stream._connectionClosed(reason)
        }
        if (!this._settings.allowHalfOpen) this.end()
      }
    }
  }

  _onClose (offset, length) {
    const text = length > 0 ? engine.textAt(offset, length) : '{}'
    const { bytesRead = this._read, bytesWritten = this._written } = JSON.parse(text)
    if (!this.destroyed) this._shut(null)
    this._read = bytesRead
    this._written = bytesWritten
    this._closing = true
    const number = this._number
    this._number = -1
    engine.forget(number)
    if (this._hasRef) {
      this._hasRef = false
      engine.unref()
    }
    // Behind an 'end' that is due, and behind the 'close' of its streams.
    if (this._peerEnded) setImmediate(finish, this)
    else process.nextTick(finish, this)
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

function emitEnd (connection) {
  connection._emitEnd()
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

module.exports = { Link }
