'use strict'

// One stream, as a Duplex whose hot paths do not pass through Node's buffers: its two halves, and the end of it.
//
// This file may not: choose handles, count streams against the limit, or keep a connection open. Bytes that came in
// belong to the application; bytes that go out are copied before a call returns.

const context = require('./context')
const engine = require('./engine')
const { callerError, streamError } = require('./errors')
const { describeStream, inspectable } = require('./inspect')
const { clearBuffered, isHeard } = require('./node-buffer')
const { wireCode } = require('./options')
const { asSocket } = require('./stream-socket')
const { Writer } = require('./stream-writer')
const {
  READS, WRITES, BOTH, NO_WRITES, ENDED, WRITING, ANSWERING, MUTED, UNCLAIMED, DROPPING, NO_READS, noStream
} = require('./stream-state')

const { op } = engine

// Node's own high water mark stops nobody: how much may wait is bounded by the connection, or by credit. It is not 0,
// because Node then never looks again at a buffer whose flow was broken off.
const WHOLE = { readableObjectMode: true, emitClose: true }
const WHOLE_BYTES = { ...WHOLE, readableObjectMode: false }
const ACCEPTED = { ...WHOLE, writable: false }
const CREATED = { ...WHOLE, readable: false }
const CREATED_BYTES = { ...CREATED, readableObjectMode: false }

// What the peer of a stream that was destroyed with an error is told, where the error does not say: any code but 0.
const FAILED = 1

class MuxStream extends Writer {
  /** @param {boolean} isWhole whether the wire has both directions on a stream */
  constructor (connection, handle, id, meta, asyncContext, remote, messages, isWhole) {
    super(isWhole ? (messages ? WHOLE : WHOLE_BYTES) : remote ? ACCEPTED : messages ? CREATED : CREATED_BYTES)
    // On the legacy wire, where a stream has one half, it is of no use, and stays as Node sets it.
    if (isWhole) this.allowHalfOpen = connection._settings.allowHalfOpen
    this.id = id
    this.meta = meta
    this._connection = connection
    this._number = handle
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

  /** In a 'stream' listener: the stream is not accepted, and its creator learns this code. */
  refuse (code = 0) {
    wireCode(code)
    if (this._acked) throw callerError('ERR_MUX_ALREADY_ACCEPTED')
    this._acked = true
    const connection = this._connection
    if (connection._canSend()) engine.coded(op.REFUSE, connection._number, this._number, code)
    if (this._out === ANSWERING) this._out = ENDED
    this._finished = this._peerEnded = true
    this._in = NO_READS
    return this.destroy()
  }

  // The acknowledgement. Behind our own end there is none.
  _accept () {
    if (this._acked) return
    this._acked = true
    const connection = this._connection
    if (connection._canSend()) engine.put(op.ACCEPT, connection._number, this._number, 0)
  }

  /** The 'stream' event is over. `heard`: somebody listened to it. */
  _onAccepted (heard) {
    this._accept()
    if (this._halves === READS && this._in === NO_READS && !this._peerEnded) {
      this._connection._command(op.DISCARD, this._number, 0)
    }
    if (heard || this._in !== UNCLAIMED) return
    // Nobody was told of it, so nobody will ever read it.
    this._connection._discarded(1, this._dropEarly())
    this._in = DROPPING
    this._uncount()
  }

  // ---- the end of it ----

  /** Wants nothing more of what the peer sends; what is buffered is dropped. */
  stopSending (code = 0) {
    wireCode(code)
    if (this.destroyed || this._halves === WRITES || this._peerEnded) return this
    this._accept()
    const connection = this._connection
    if (connection._open) engine.coded(op.STOP, connection._number, this._number, code)
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
    if ((this._number & 1) === 1) this._uncount()
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
    if (this._halves !== BOTH) return true
    // What nobody has asked for counts for nobody any more; what somebody did counts until it is read.
    if (this._in === UNCLAIMED) this._consume(this._held)
    this._over = true
    const isFree = this._held + this._endHeld === 0
    if (isFree) this._number = noStream(this._number)
    return isFree
  }

  /** Nothing more comes on the connection. */
  _onConnectionEnd (reason) {
    if (this._peerEnded || this._in === NO_READS) return
    if (this._halves === BOTH) {
      if ((this._number & 1) === 0 && this._in === UNCLAIMED && this._early === null) {
        // Nobody waits for an answer.
        this._peerEnded = true
        this._endUnread()
        return
      }
      if (this._out === ANSWERING) this._endUnused()
    }
    this._connectionClosed(reason)
  }

  _connectionClosed (reason) {
    if (this.destroyed) return
    // What is complete both ways is left to its reader, who may take his time.
    const isSent = this._finished || this._out === NO_WRITES || this._out === ANSWERING
    if (isSent && (this._peerEnded || this._in === NO_READS)) return
    this._quiet = true
    // Our half was done, and nobody waits for an answer.
    const isUnread = this._finished && (this._number & 1) === 0 && this._in === UNCLAIMED && this._early === null
    context.run(this._context, this.destroy, this, isUnread ? undefined : reason)
  }

  _destroy (error, done) {
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
      if (connection._canSend()) engine.put(op.END, connection._number, this._number, 0)
      this._out = ENDED
      this._uncount()
    } else if (this._halves === READS && this._in !== NO_READS && !this._peerEnded && this._acked) {
      connection._command(op.DISCARD, this._number, 0)
    }
  }

  _endBoth (error) {
    const connection = this._connection
    this._accept()
    if (error && (this._out !== ENDED || !this._finished)) {
      this._lost = error
      this._sendReset(Number.isSafeInteger(error.resetCode) && error.resetCode >= 0 ? error.resetCode : FAILED)
    } else if (this._out >= WRITING && this._out !== MUTED && connection._canSend()) {
      engine.put(op.END, connection._number, this._number, 0)
    }
    this._out = ENDED
    this._uncountOwn()
    if (!this._peerEnded) connection._command(op.DISCARD, this._number, 0)
  }

  _uncount () {
    if (!this._counted) return
    this._counted = false
    this._connection._countDown(this._number)
  }
}

asSocket(MuxStream)
inspectable(MuxStream, 'MuxStream', describeStream)

module.exports = { MuxStream }
