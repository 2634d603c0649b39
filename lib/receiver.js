'use strict'

// What native code tells of a connection, record by record; data goes straight to its stream (engine.js).
//
// This file may not: keep state of its own, or send what a record does not ask for.

const context = require('./context')
const engine = require('./engine')
const { callerError, connectionError, MuxProtocolError, streamError } = require('./errors')
const { Link, finish } = require('./link')
const { capture } = require('./rejections')
const { MuxStream } = require('./stream')

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
const RESET = 10
const STOPPED = 11
const REFUSED = 12
const GOAWAY = 13
const BLOCKED = 14
const UNBLOCKED = 15
const CONNECTED = 17
const CONN_END = 18
const CONN_ERROR = 19
const CONN_CLOSE = 20
const PONG = 21
const WIRES = 22
const CREDIT = 23
const UNREAD = 24

class Receiver extends Link {
  _record (kind, handle, offset, length, aux) {
    if (this._idle !== null) this._idle.refresh()
    if (kind === CONN_CLOSE) return this._onClose(offset, length)
    if (this.destroyed) return
    switch (kind) {
      case STREAM: return this._onStream(handle, engine.textAt(offset, length), aux)
      case CLOSED: return this._onStreamClosed(handle)
      // In its place among what tells of held bytes: what came before and is not held is consumed.
      case CREDIT: return this._command(op.CREDIT, handle, 0)
      case MARKED: return this._marks.reach(aux)
      case DRAIN:
        // Since this was said more may have been written, and sent.
        engine.flush()
        this._queued = engine.native.queuedBytes(this._number)
        this._drained()
        return
      case PEER: return this._onPeer(aux === 1)
      case WIRES:
        this._wires = aux
        if (this._isSwitched()) this._sendPings()
        return
      case GOAWAY: return this._onGoaway(handle)
      case PONG:
        if (this._pings !== null) this._pings.answer(aux, handle / 1000)
        return
      case CONNECTED:
        this._establish(engine.textAt(offset, length))
        this._owner._connected(this)
        return
      case CONN_END:
        if (length > 0) this._noteClose(JSON.parse(engine.textAt(offset, length)))
        // Streams emit their 'end' in the ticks that follow; the connection's comes after them.
        this._peerEnded = true
        setImmediate(emitEnd, this)
        return
      case CONN_ERROR:
        this._peerEnded = false
        this._shut(this._noteClose(connectionError(engine.textAt(offset, length))))
        this._report()
        return
      default: {
        const entry = this._stream(handle)
        if (entry !== undefined) this._streamRecord(kind, entry, offset, length, aux)
        if (kind === BLOCKED) this._onBlocked()
      }
    }
  }

  // `entry` is a stream, or an open that waits.
  _streamRecord (kind, entry, offset, length, aux) {
    switch (kind) {
      case OPENED: return entry._onOpened(aux)
      case END: return entry._onEnd(aux === 1 ? engine.cut(offset, length) : undefined)
      case JSON_DATA: {
        if (!entry._wantsValue(length)) return
        const value = this._parse(engine.textAt(offset, length))
        if (!this.destroyed) entry._onValue(value, length)
        return
      }
      case UNREAD: return entry._onUnread()
      case BLOCKED: return entry._onBlocked()
      case UNBLOCKED: return entry._onUnblocked()
      case RESET: return entry._onReset(Number(engine.textAt(offset, length)))
      case STOPPED: return entry._onStopped(Number(engine.textAt(offset, length)))
      case REFUSED: return entry._onRefused(Number(engine.textAt(offset, length)))
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
    // A foreign peer's stream has no meta.
    const meta = text === '' ? undefined : text
    const stream = new MuxStream(this, handle, id, meta, this._context, true, true, this._sendsQmux())
    this._streams.set(handle, stream)
    if (this._settings.captureRejections) capture(stream)
    this._accepted++
    if (this._unheard.isEmpty && this._owner._hearsStreams(this)) this._announce(stream)
    else this._unheard.add(stream)
  }

  _announce (stream) {
    try {
      this._owner._emitStream(this, stream)
    } finally {
      // The acknowledgement follows the event, whatever a listener did.
      stream._onAnnounced()
    }
  }

  _onStreamClosed (handle) {
    const entry = this._stream(handle)
    if (entry === undefined || entry._onClosed()) this._free(handle)
  }

  _onPeer (isNew) {
    this._knowPeer(isNew)
    if (!isNew && this._pings !== null) this._pings.refuse(callerError('ERR_MUX_NOT_SUPPORTED', 'ping()'))
  }

  _onGoaway (handle) {
    if (handle !== engine.WHOLE) {
      const open = this._stream(handle)
      if (open !== undefined && open._pending) open._fail(streamError('ERR_MUX_GOAWAY'))
      return
    }
    if (this._peerGoesAway) return
    this._peerGoesAway = true
    this._tell('goaway')
  }

  _emitEnd () {
    if (!this._peerEnded) return // destroyed meanwhile
    try {
      context.emit(this._context, this, 'end')
    } finally {
      // Nothing more comes: streams the peer left open, and opens it did not answer, are cut off now.
      if (!this.destroyed) {
        const reason = callerError('ERR_MUX_CONNECTION_CLOSED')
        for (const stream of this._allStreams()) stream._onConnectionEnd(reason, false)
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
}

function emitEnd (connection) {
  connection._emitEnd()
}

module.exports = { Receiver }
