'use strict'

// The writing half of a stream: makes commands of what programs write, and says when they may write more.
//
// This file may not: keep a reference to a caller's bytes, pass anything through Node's own queue, or touch a field of
// the reading half.

const { Duplex } = require('node:stream')
const { op } = require('./boundary')
const context = require('./context')
const engine = require('./engine')
const { callerError, streamError } = require('./errors')
const { wireCode } = require('./options')
const halfOpen = require('./half-open')
const { isWatched } = require('./node-buffer')
const { WRITES, BOTH, NO_WRITES, ENDED, WRITING, ANSWERING, BLOCKED, MUTED } = require('./stream-state')
const { keep } = require('./unreachable')
const { boundedJson, isBytes, sendable } = require('./values')

const EMPTY = Buffer.alloc(0)

// The code for a stream that was destroyed with an error, if the error has none: any code but 0.
const FAILED = 1

// Facts about a writing half.
const DRAIN_OWED = 1 // write() has returned false since the last 'drain'
const LISTED = 2 // the connection has the half on its list for onDrained()
const FINISHED = 4 // the kernel took our end, or nothing more is awaited of the half
const USED = 8 // of a stream of the peer's: the program has written to it
const ECHOES = 16 // of a stream of the peer's: only the stream's own listeners have written to it
const CUT_OFF = 32 // the half ended without the program's doing

class Writer {
  constructor (stream, state) {
    this._stream = stream
    this.state = state
    this._facts = 0
    this._encoding = undefined // the argument of setDefaultEncoding()
    this.lost = undefined // the error of writes that will not be sent
  }

  get isOpen () { return this.state >= WRITING }

  get hasFinished () { return (this._facts & FINISHED) !== 0 }

  get isUsed () { return (this._facts & USED) !== 0 }

  get isEcho () { return (this._facts & ECHOES) !== 0 }

  get needsDrain () { return (this._facts & DRAIN_OWED) !== 0 && this.state >= WRITING }

  /**
   * Bytes that wait: in the connection's queue, which all its streams share, and on this stream for the peer's reader.
   */
  get length () {
    if (this.state < WRITING) return 0
    const { _connection: connection, _nativeHandle: handle } = this._stream
    const queue = connection._queue
    return queue.bytes + (this.state === BLOCKED ? queue.bytesOf(handle) : 0)
  }

  // ---- called by programs and by Node ----

  write (chunk, encoding, done) {
    const stream = this._stream
    const connection = stream._connection
    if (this.state === WRITING && encoding === undefined && done === undefined &&
        chunk instanceof Uint8Array && !connection._link.hasEnded) {
      if ((this._facts & ECHOES) !== 0) this._noteWriter()
      connection._link.data(stream._nativeHandle, chunk)
      return connection._queue.add(chunk.length) || this._full()
    }
    return this._writeAny(chunk, encoding, done)
  }

  _writeAny (chunk, encoding, done) {
    if (typeof encoding === 'function') {
      done = encoding
      encoding = undefined
    }
    if (typeof done !== 'function') done = undefined
    if (this.state === NO_WRITES) throw callerError('ERR_MUX_NOT_WRITABLE')
    const value = sendable(chunk, encoding || this._encoding)
    const stream = this._stream
    if (this.state === ENDED) {
      if (this._isCutOff()) return halfOpen.tooLate(stream, done)
      // Node makes the error of a write after the end; the bytes do not matter.
      return Duplex.prototype.write.call(stream, EMPTY, done && context.bind(done))
    }
    const connection = stream._connection
    if (!connection._link.canSend()) return this._failWrite(done)
    if (this.state === MUTED) {
      if (done !== undefined) process.nextTick(context.bind(done), this.lost)
      return true
    }
    if (!this.isUsed && !stream._isOurs()) {
      keep(stream)
      stream._accept()
      this._facts |= USED | ECHOES
      if (this.state === ANSWERING) this.state = WRITING
    }
    if ((this._facts & ECHOES) !== 0) this._noteWriter()
    const bytes = this._encode(value)
    const mayGoOn = this.state === BLOCKED ? this._wait() : connection._queue.add(bytes) || this._full()
    if (done !== undefined) this._markWrite(context.bind(done))
    return mayGoOn
  }

  // A write is an echo only within a listener of the stream's own events.
  _noteWriter () {
    if (!engine.isDelivering() && !this._stream._reader.isWithinRead) this._facts &= ~ECHOES
  }

  _isCutOff () { return (this._facts & CUT_OFF) !== 0 }

  _encode (value) {
    const { _connection: { _link: link }, _nativeHandle: handle } = this._stream
    if (value instanceof Uint8Array) {
      link.data(handle, value)
      return value.length
    }
    return link.string(handle, value.text, value.encoding)
  }

  _markWrite (done) {
    const stream = this._stream
    stream._connection._mark(stream._nativeHandle, (error) => done(error || this.lost))
  }

  // end() of the connection was called: this end can send nothing more.
  _failWrite (done) {
    const error = callerError('ERR_MUX_CONNECTION_CLOSED')
    if (done !== undefined) process.nextTick(context.bind(done), error)
    this._stream._isErrorOptional = true
    this._stream.destroy(error)
    return false
  }

  // The connection's queue is full. One 'drain' is owed, however often write() returns false.
  _full () {
    if ((this._facts & LISTED) === 0) this._stream._connection._queue.enlist(this)
    this._facts |= DRAIN_OWED | LISTED
    return false
  }

  // The stream's credit is used up. Bytes that wait for credit do not count as the connection's queue.
  _wait () {
    this._stream._connection._queue.add(0)
    this._facts |= DRAIN_OWED
    return false
  }

  /** The connection's queue has drained, and the half is off its list. */
  onDrained () {
    this._facts &= ~LISTED
    if (this.state !== BLOCKED) this._emitDrain()
  }

  _emitDrain () {
    if ((this._facts & DRAIN_OWED) === 0) return
    this._facts &= ~DRAIN_OWED
    const stream = this._stream
    if (this.state >= WRITING) context.emit(stream._context, stream, 'drain')
  }

  end (value, encoding, done) {
    if (typeof value === 'function') {
      done = value
      value = encoding = undefined
    } else if (typeof encoding === 'function') {
      done = encoding
      encoding = undefined
    }
    if (typeof done !== 'function') done = undefined
    if (done !== undefined) done = context.bind(done)
    if (this.state === NO_WRITES) {
      if (done !== undefined) process.nextTick(done)
      return
    }
    const stream = this._stream
    keep(stream)
    const isPlain = value === undefined || value === null
    if (this.state >= WRITING) {
      // A half that was never used has nothing to lose, and nothing to wait for.
      if (this.state === ANSWERING && isPlain) this._endUnused()
      else if (stream._connection._link.canSend()) this._sendEnd(value, encoding)
    } else if (!isPlain && this._isCutOff()) {
      halfOpen.tooLate(stream, done)
      return
    } else if (!isPlain) {
      Duplex.prototype.end.call(stream, EMPTY, done) // a write after the end, as Node has it
      return
    }
    Duplex.prototype.end.call(stream, done)
  }

  setDefaultEncoding (encoding) { this._encoding = encoding }

  _endUnused () {
    const stream = this._stream
    stream._accept()
    this._putEnd()
    this.shut()
  }

  _putEnd () {
    const { _connection: { _link: link }, _nativeHandle: handle } = this._stream
    if (link.canSend()) link.command(op.END, handle, 0)
  }

  /** Ends an unused half of a stream whose other half is over, without what Node would do for it. */
  closeUnused () {
    this._endUnused()
    const state = this._stream._writableState
    state.ending = state.ended = state.finished = true
    this._stream._retire()
  }

  _sendEnd (value, encoding) {
    const stream = this._stream
    const { _connection: connection, _nativeHandle: handle } = stream
    let queued = 0
    let bytes
    let json
    if (value !== undefined && value !== null) {
      const goesAsBytes = isBytes(value) || (typeof value === 'string' && (encoding || this._encoding))
      if (goesAsBytes) bytes = sendable(value, encoding || this._encoding)
      else json = boundedJson(value, 'This end value')
    }
    stream._accept()
    if (this.state === MUTED) {
      this._facts |= FINISHED
    } else {
      if (bytes !== undefined) queued = this._encode(bytes)
      const link = connection._link
      if (json === undefined) link.command(op.END, handle, 0)
      else queued = link.text(op.END_VALUE, handle, json)
    }
    this.state = ENDED
    this._uncountOurs()
    connection._queue.add(queued)
  }

  /** The end is on its way. 'finish' is emitted when the kernel has taken it. */
  final (done) {
    const stream = this._stream
    if (this._isLost()) return stream._retire()
    if (this.hasFinished) {
      done()
      stream._reader.endIfSilent()
      return
    }
    const connection = stream._connection
    if (!connection._link.canSend()) {
      stream._isErrorOptional = true // a peer that half-closes brings this error about
      return done(callerError('ERR_MUX_CONNECTION_CLOSED'))
    }
    connection._mark(stream._nativeHandle, (error) => {
      if (!error && this._isLost()) return stream._retire()
      if (error) stream._isErrorOptional = true // the failure is the connection's, not this stream's
      else this._facts |= FINISHED
      context.run(stream._context, done, undefined, error)
      if (error) return
      stream._reader.endIfSilent()
      halfOpen.openerFinished(stream)
    })
  }

  // Whether the peer destroyed its stream while somebody waits for what was written to arrive. Such a stream closes
  // without 'finish', as a socket does.
  _isLost () { return this.lost !== undefined && this.lost.stopCode === 0 && isWatched(this._stream) }

  /** The program gives up what is written and not sent yet, and all that would follow. */
  reset (code) {
    wireCode(code)
    if (this._stream.destroyed || this._isOver()) return
    this._sendReset(code)
    this.lost = streamError('ERR_MUX_STREAM_RESET', code)
    this._giveUp()
  }

  // Whether nothing of the half can be lost any more.
  _isOver () { return this.state === NO_WRITES || (this.state === ENDED && this.hasFinished) }

  _sendReset (code) {
    const stream = this._stream
    stream._accept()
    const link = stream._connection._link
    if (link.canSend() && this.state !== MUTED) link.coded(op.RESET, stream._nativeHandle, code)
  }

  // Ends the half, whatever was still under way.
  _giveUp () {
    this.shut()
    this._uncountOurs()
    Duplex.prototype.end.call(this._stream)
  }

  /** Ends the half, if there is one. Nothing more of it is awaited. */
  shut () {
    if (this.state !== NO_WRITES) this.state = ENDED
    this._facts |= FINISHED
  }

  /** The stream is destroyed. The peer gets an end, or a reset if something is lost. The legacy wire has no reset. */
  breakOff (error) {
    const stream = this._stream
    const hasReset = stream._halves === BOTH
    if (hasReset && error && !this._isOver()) {
      this.lost = error
      this._sendReset(Number.isSafeInteger(error.resetCode) && error.resetCode >= 0 ? error.resetCode : FAILED)
    } else if (this.state >= WRITING && this.state !== MUTED) {
      this._putEnd()
    }
    if (this.state !== NO_WRITES) this.state = ENDED
    this._uncountOurs()
  }

  // ---- called by the engine ----

  onBlocked () {
    if (this.state === WRITING || this.state === ANSWERING) this.state = BLOCKED
  }

  onUnblocked () {
    if (this.state !== BLOCKED) return
    const stream = this._stream
    this.state = stream._isOurs() || this.isUsed ? WRITING : ANSWERING
    // Either nobody waits, or the half is called with the others on the connection's list.
    if ((this._facts & (DRAIN_OWED | LISTED)) !== DRAIN_OWED) return
    const queue = stream._connection._queue
    if (!queue.isFull && !queue.isAboutToBlock()) this._emitDrain()
    else this._full()
  }

  /** The peer wants no more. On QMux, native code has ended our half; on the legacy wire, the half goes on. */
  onStopped (code) {
    const stream = this._stream
    if (stream.destroyed || this._isOver()) return
    if (stream.listenerCount('stopSending') > 0) {
      this.lost = streamError('ERR_MUX_STREAM_STOPPED', code)
      this.noteCutOff()
      if (stream._halves === WRITES && this.state === WRITING) this._sendEnd()
      this._giveUp()
      context.emit(stream._context, stream, 'stopSending', code)
    } else if (code !== 0) {
      this.shut()
      this._uncountOurs()
      stream._fail(streamError('ERR_MUX_STREAM_STOPPED', code))
    } else {
      this._readerGone()
    }
  }

  /** Notes that the half ended without the program's doing. */
  noteCutOff () { this._facts |= CUT_OFF }

  // The peer destroyed its stream. As on the legacy wire, a writer that nobody watches never learns of that.
  _readerGone () {
    const stream = this._stream
    const isHeard = isWatched(stream)
    if (isHeard) this.lost = streamError('ERR_MUX_STREAM_STOPPED', 0)
    if (stream._halves === BOTH && this.state !== ENDED) {
      this.state = MUTED
      this._emitDrain()
    }
    // If the reading half has something to be read, that comes first.
    if (isHeard && (stream._halves === WRITES || stream._reader.isUnread())) stream._retire()
    else halfOpen.consider(stream)
  }

  _uncountOurs () {
    if (this._stream._isOurs()) this._stream._uncount()
  }
}

module.exports = { Writer }
