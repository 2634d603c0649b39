'use strict'

// One stream, as a Duplex whose hot paths do not pass through Node's buffers: its two halves, and the end of it.
//
// This file may not: choose handles, count streams against the limit, or keep a connection open. Bytes that came in
// belong to the application; bytes that go out are copied before a call returns.

const context = require('./context')
const engine = require('./engine')
const { callerError, streamError } = require('./errors')
const halfOpen = require('./half-open')
const { forgetMeta, parseMeta } = require('./meta')
const { clearBuffered, isHeard, isWatched } = require('./node-buffer')
const { describeStream, inspectable } = require('./inspect')
const { wireCode } = require('./options')
const { asSocket } = require('./stream-socket')
const { Writer } = require('./stream-writer')
const { keep } = require('./unreachable')
const {
  READS, WRITES, BOTH, NO_WRITES, ENDED, WRITING, ANSWERING, MUTED, UNCLAIMED, CLAIMED, NO_READS, noStream
} = require('./stream-state')

const { op } = engine

// Node's own high water mark stops nobody: how much may wait is bounded by the connection, or by credit. It is not 0,
// because Node then never looks again at a buffer whose flow was broken off.
const TWO_WAY = { readableObjectMode: true, emitClose: true }
const TWO_WAY_BYTES = { ...TWO_WAY, readableObjectMode: false }
const ACCEPTED = { ...TWO_WAY, writable: false }
const CREATED = { ...TWO_WAY, readable: false }
const CREATED_BYTES = { ...CREATED, readableObjectMode: false }

// What the peer of a stream that was destroyed with an error is told, where the error does not say: any code but 0.
const FAILED = 1

const { CLOSED, PATIENCE, UNHEARD } = halfOpen

// How long an asynchronous listener may think about refusing a stream before its opener learns that the stream is open.
const DECISION = 1000 // ms

class MuxStream extends Writer {
  /** @param {boolean} isWhole whether the wire has both directions on a stream */
  constructor (connection, handle, id, meta, asyncContext, remote, messages, isWhole) {
    super(isWhole ? (messages ? TWO_WAY : TWO_WAY_BYTES) : remote ? ACCEPTED : messages ? CREATED : CREATED_BYTES)
    // On the legacy wire, where a stream has one half, it is of no use, and stays as Node sets it.
    if (isWhole) this.allowHalfOpen = connection._settings.allowHalfOpen
    this.id = id
    this._meta = meta
    this._isText = remote && meta !== undefined // the meta is its text, until the program looks at it
    this._metaCost = 0
    this._connection = connection
    this._nativeHandle = handle // not "_handle": Node takes that for the handle of a socket
    this._context = asyncContext
    this._halves = isWhole ? BOTH : remote ? READS : WRITES
    this._out = !remote ? WRITING : isWhole ? ANSWERING : NO_WRITES
    this._in = remote || isWhole ? UNCLAIMED : NO_READS
    this._counted = true // against the connection's limit
    this._acked = !remote
    this._peerEnded = false
    this._finished = false // the kernel took our end
    this._over = false // native code is done with it
    this._quiet = false // destroyed by its connection or the peer: no 'error' unless somebody listens
    this._drain = 0 // whether 'drain' is owed, and by whom
    this._encoding = undefined // set by setDefaultEncoding
    this._lost = undefined // why what was written is not sent: the error of its callbacks
    this._emitted = false
    this._early = null // what came while unclaimed
    this._charges = null // of the chunks in Node's buffer
    this._pages = null // where small chunks in Node's buffer are kept
    this._held = 0 // their sum, as native code knows it
    this._endValue = undefined
    this._endHeld = 0 // bytes of it, as native code knows them
    this._bits = 0 // half-open.js has them
    this._serving = 0 // promises of listeners that serve it
    this._cut = null // why it ends, while it waits for a 'stream' listener
    this._unaccepted = null // the timer of an acknowledgement that waits for them
    this._pipes = 0 // calls of pipe()
    this._isReading = false // within read(), which emits 'data'
    this._ownEmit = undefined // what the program put in place of emit()
  }

  get meta () {
    if (this._isText) {
      keep(this)
      this._isText = false
      this._meta = parseMeta(this, this._meta)
    }
    return this._meta
  }

  set meta (value) {
    this._isText = false
    this._meta = value
  }

  // On the legacy wire both say true while the stream lives, also for the half it does not have: version 0.1.0 did.
  get readable () {
    return this._halves === WRITES ? !this.destroyed && !this.writableFinished : super.readable
  }

  set readable (value) { super.readable = value }

  get writable () {
    return this._halves === READS ? !this.destroyed && !this.readableEnded : super.writable
  }

  set writable (value) { super.writable = value }

  // ---- the life of a stream of the peer's ----

  /** The stream is not accepted, and its creator learns this code. Until the stream is used in any way. */
  refuse (code = 0) {
    wireCode(code)
    const isUsed = this._in !== UNCLAIMED || this._out !== (this._halves === BOTH ? ANSWERING : NO_WRITES)
    if ((this._nativeHandle & 1) === 0 || isUsed || this.destroyed) throw callerError('ERR_MUX_ALREADY_ACCEPTED')
    const connection = this._connection
    if (connection._canSend()) this._sendRefusal(connection, code)
    this._acked = true
    if (this._out === ANSWERING) this._out = ENDED
    this._finished = this._peerEnded = true
    this._in = NO_READS
    this._dropEarly()
    this._forget()
    return this.destroy()
  }

  _sendRefusal (connection, code) {
    if (!this._acked) {
      engine.coded(op.REFUSE, connection._number, this._nativeHandle, code)
    } else if (this._halves === BOTH) {
      // It was acknowledged meanwhile: its creator sees a stream that fails.
      engine.coded(op.RESET, connection._number, this._nativeHandle, code)
      engine.coded(op.STOP, connection._number, this._nativeHandle, code)
    } else {
      connection._command(op.DISCARD, this._nativeHandle, 0)
    }
  }

  // The acknowledgement. Behind our own end there is none.
  _accept () {
    if (this._acked) return
    this._acked = true
    if (this._unaccepted !== null) {
      clearTimeout(this._unaccepted)
      this._unaccepted = null
    }
    const connection = this._connection
    if (connection._canSend()) engine.put(op.ACCEPT, connection._number, this._nativeHandle, 0)
  }

  /** The 'stream' event is over. An asynchronous listener may still refuse the stream. */
  _onAnnounced () {
    const mayRefuse = this._serving > 0 && this._halves === BOTH && !this._awaitsOpener()
    if (!mayRefuse) this._accept()
    // Whatever else the listener waits for may be up to the opener, too.
    else if (!this._acked) this._unaccepted = context.later(DECISION, accept, this)
    if (this._halves === READS && this._in === NO_READS && !this._peerEnded) {
      this._connection._command(op.DISCARD, this._nativeHandle, 0)
    }
  }

  // Whether somebody waits for what the opener does only behind the acknowledgement.
  _awaitsOpener () { return this.listenerCount('end') + this.listenerCount('finish') > 0 }

  /** The promises that served it have settled. */
  _served () {
    this._accept()
    halfOpen.consider(this)
  }

  /** The opener reads no answer. */
  _onUnread () { halfOpen.onUnread(this) }

  /** More streams wait for a 'stream' listener than may: this one is acknowledged, and what comes on it is dropped. */
  _onUnheard () {
    this._accept()
    this._discard(0)
    this._uncount()
    if (this._peerEnded) this._close()
  }

  // ---- the end of it ----

  /** Wants nothing more of what the peer sends; what is buffered is dropped. */
  stopSending (code = 0) {
    wireCode(code)
    if (this.destroyed || this._halves === WRITES || this._peerEnded) return this
    this._accept()
    const connection = this._connection
    if (connection._open) engine.coded(op.STOP, connection._number, this._nativeHandle, code)
    // The program goes on with its own half, if it has one.
    this.allowHalfOpen = true
    this._peerEnded = true
    this._in = NO_READS
    this._dropEarly()
    clearBuffered(this._readableState)
    this._forget()
    this._pushEnd()
    this.resume() // nothing is left to hold back
    return this
  }

  // What waited for a reader waits no longer.
  _forget () {
    this._consume(this._held)
    this._releaseEnd()
    this._charges = this._pages = null
  }

  /** The peer gave the rest of its half up. */
  _onReset (code) {
    if (this._peerEnded) return
    this._peerEnded = true
    if ((this._nativeHandle & 1) === 1) this._uncount()
    this._fail(streamError('ERR_MUX_STREAM_RESET', code))
  }

  // The peer's doing: 'error' only where somebody listens.
  _fail (error) {
    this._quiet = true
    context.run(this._context, this.destroy, this, error)
  }

  /** Both halves are over. @returns {boolean} whether the handle may be used again */
  _onClosed () {
    this._uncount()
    this._bits |= CLOSED
    if (!this.destroyed) this._connection._outlives(this)
    if (this._metaCost > 0) forgetMeta(this)
    if (this._halves !== BOTH) return true
    // What nobody has asked for, nor waits for the end of, counts for nobody any more; what somebody did until it is read.
    if (this._in === UNCLAIMED && !this._isWaitedFor()) {
      this._consume(this._held)
      this._releaseEnd()
    }
    this._over = true
    const isFree = this._held + this._endHeld === 0
    if (isFree) this._nativeHandle = noStream(this._nativeHandle)
    return isFree
  }

  _isClaimed () { return this._in !== UNCLAIMED }

  // Whether somebody waits for its end, or will be told of it at all.
  _isWaitedFor () { return (this._bits & UNHEARD) !== 0 || isWatched(this) || this.listenerCount('end') > 0 }

  /**
   * Nothing more comes on the connection, and with `isOver` nothing can be sent either: the stream closes, now, or when
   * what it has was read.
   */
  _onConnectionEnd (reason, isOver) {
    if (this.destroyed) return
    if ((this._bits & UNHEARD) !== 0 && this._connection._failure === null) return this._endUnheard(reason, isOver)
    if (!this._peerEnded && this._in !== NO_READS) {
      // Of a stream of ours programs need not know that it can be answered.
      const isOurs = (this._nativeHandle & 1) === 0
      const isAwaited = this._halves !== BOTH || !isOurs || this._in !== UNCLAIMED || !this._isUnread()
      if (isAwaited || (isOver && !this._finished)) return this._cutOff(reason)
      this._peerEnded = true
      return this._endUnread()
    }
    if (!isOver) return
    // A half that was never used has lost nothing.
    const isUnused = this._out === ANSWERING
    if (!isUnused && !this._finished && this._out !== NO_WRITES) return this._cutOff(reason)
    if (this._in === UNCLAIMED) this._endLeft()
    else if (isUnused) halfOpen.consider(this)
    else if (this._in !== CLAIMED || this.readableEnded) this._close()
  }

  // A 'stream' listener may still come for it. A stream with much to keep does not wait for one.
  _endUnheard (reason, isOver) {
    this._cut = reason
    if (!isOver) return
    const bytes = this._early === null ? 0 : this._early.bytes
    if (bytes > this._connection._settings.unclaimedLimit) dropUnheard(this)
    else context.later(PATIENCE, dropUnheard, this)
  }

  /** A 'stream' listener has come, perhaps behind the end of the connection. */
  _endHeard () { if (this._cut !== null) setImmediate(endHeard, this) }

  // The peer had ended it, and nobody has asked for it yet.
  _endLeft () {
    if (this.listenerCount('end') > 0) return void setImmediate(dropLeft, this)
    if (this._isUnread()) return this._close()
    context.later(PATIENCE, dropLeft, this)
  }

  _cutOff (reason) {
    if ((this._bits & UNHEARD) !== 0) this._discard(0)
    this._quiet = true
    context.run(this._context, this.destroy, this, reason)
  }

  _destroy (error, done) {
    keep(this)
    if (this._halves === BOTH) this._endBoth(error)
    else this._endHalf()
    this._in = NO_READS
    this._dropEarly()
    this._forget()
    done(this._quiet && !isHeard(this) ? null : error)
  }

  // The legacy wire has no reset: an end is all that can be said.
  _endHalf () {
    const connection = this._connection
    if (this._out === WRITING) {
      if (connection._canSend()) engine.put(op.END, connection._number, this._nativeHandle, 0)
      this._out = ENDED
      this._uncount()
    } else if (this._halves === READS && this._in !== NO_READS && !this._peerEnded && this._acked &&
        !connection._peerEnded) {
      connection._command(op.DISCARD, this._nativeHandle, 0)
    }
  }

  _endBoth (error) {
    const connection = this._connection
    this._accept()
    if (error && (this._out !== ENDED || !this._finished)) {
      this._lost = error
      this._sendReset(Number.isSafeInteger(error.resetCode) && error.resetCode >= 0 ? error.resetCode : FAILED)
    } else if (this._out >= WRITING && this._out !== MUTED && connection._canSend()) {
      engine.put(op.END, connection._number, this._nativeHandle, 0)
    }
    this._out = ENDED
    this._uncountOwn()
    if (!this._peerEnded) connection._command(op.DISCARD, this._nativeHandle, 0)
  }

  _uncount () {
    if (!this._counted) return
    this._counted = false
    this._connection._countDown(this._nativeHandle)
  }
}

// Listeners have asked for what it has, if they want it.
function endHeard (stream) { stream._onConnectionEnd(stream._cut, stream._connection.destroyed) }

function dropUnheard (stream) {
  if (stream.destroyed || (stream._bits & UNHEARD) === 0) return
  stream._bits &= ~UNHEARD
  stream._discard(0)
  stream._onConnectionEnd(stream._cut, true)
}

function accept (stream) { stream._accept() }

// What nobody asked for behind the end of the connection is dropped, and the stream closes.
function dropLeft (stream) {
  if (stream.destroyed || stream._in !== UNCLAIMED) return
  if (stream.listenerCount('end') > 0) return stream._drop()
  stream._discard(0)
  stream._close()
}

asSocket(MuxStream)
inspectable(MuxStream, 'MuxStream', describeStream)

module.exports = { MuxStream }
