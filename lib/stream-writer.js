'use strict'

// The writing half of a stream: commands for what programs write, and when they may write on.
//
// This file may not: keep a reference to a caller's bytes, or pass anything through Node's own queue.

const context = require('./context')
const engine = require('./engine')
const { callerError, streamError } = require('./errors')
const { wireCode } = require('./options')
const halfOpen = require('./half-open')
const { isWatched } = require('./node-buffer')
const { Reader } = require('./stream-reader')
const { WRITES, BOTH, NO_WRITES, ENDED, WRITING, ANSWERING, BLOCKED, MUTED } = require('./stream-state')
const { keep } = require('./unreachable')
const { boundedJson, isBytes, sendable } = require('./values')

// Taken out once: looking them up in the module for each message is a tenth of the time.
const { data: sendData, op } = engine

const EMPTY = Buffer.alloc(0)

const { CUT, ECHO, USED } = halfOpen

// Of _drain: write() has said false since the last 'drain'; the connection has the stream on its list of those to tell.
const OWED = 1
const LISTED = 2

/** The fields are those of MuxStream, which sets them all. */
class Writer extends Reader {
  get writableHighWaterMark () { return this._connection._highWater }

  /** Bytes that wait: on the whole connection, whose queue its streams share, and of this stream for its reader. */
  get writableLength () {
    if (this._out < WRITING) return 0
    return this._connection._queued + (this._out === BLOCKED ? this._connection._waitingBytes(this._nativeHandle) : 0)
  }

  get writableNeedDrain () { return (this._drain & OWED) !== 0 && this._out >= WRITING }

  // ---- called by programs and by Node ----

  write (chunk, encoding, done) {
    const connection = this._connection
    if (this._out === WRITING && encoding === undefined && done === undefined &&
        chunk instanceof Uint8Array && !connection._ended) {
      if ((this._bits & ECHO) !== 0) this._stillEchoes()
      sendData(connection._number, this._nativeHandle, chunk)
      return connection._count(chunk.length) || this._full()
    }
    return this._writeAny(chunk, encoding, done)
  }

  _writeAny (chunk, encoding, done) {
    if (typeof encoding === 'function') {
      done = encoding
      encoding = undefined
    }
    if (typeof done !== 'function') done = undefined
    if (this._out === NO_WRITES) throw callerError('ERR_MUX_NOT_WRITABLE')
    const value = sendable(chunk, encoding || this._encoding)
    if (this._out === ENDED) {
      if (this._isCutOff()) return halfOpen.tooLate(this, done)
      // Node knows what a write after the end is; the bytes do not matter.
      return super.write(EMPTY, done && context.bind(done))
    }
    const connection = this._connection
    if (!connection._canSend()) return this._cutOff(done)
    if (this._out === MUTED) {
      if (done !== undefined) process.nextTick(context.bind(done), this._lost)
      return true
    }
    if ((this._bits & USED) === 0 && (this._nativeHandle & 1) === 1) {
      keep(this)
      this._accept()
      this._bits |= USED | ECHO
      if (this._out === ANSWERING) this._out = WRITING
    }
    if ((this._bits & ECHO) !== 0) this._stillEchoes()
    const bytes = this._encode(value)
    const going = this._out === BLOCKED ? this._wait() : connection._count(bytes) || this._full()
    if (done !== undefined) this._markWrite(context.bind(done))
    return going
  }

  // Whether it still holds that only listeners of this stream's own events write.
  _stillEchoes () {
    if (!engine.isDelivering() && !this._isReading) this._bits &= ~ECHO
  }

  // Whether the half is over without the program's doing.
  _isCutOff () { return (this._bits & CUT) !== 0 }

  _encode (value) {
    const number = this._connection._number
    if (value instanceof Uint8Array) {
      sendData(number, this._nativeHandle, value)
      return value.length
    }
    return engine.string(number, this._nativeHandle, value.text, value.encoding)
  }

  _markWrite (done) {
    this._connection._mark(this._nativeHandle, (error) => done(error || this._lost))
  }

  // end() of the connection was called: nothing of ours can be sent any more.
  _cutOff (done) {
    const error = callerError('ERR_MUX_CONNECTION_CLOSED')
    if (done !== undefined) process.nextTick(context.bind(done), error)
    this._quiet = true
    this.destroy(error)
    return false
  }

  // The connection's queue is full. One 'drain' is owed, however often write() said so.
  _full () {
    if ((this._drain & LISTED) === 0) this._connection._waiting.push(this)
    this._drain = OWED | LISTED
    return false
  }

  // The stream's credit is used up; what waits for it does not count as the connection's queue.
  _wait () {
    this._connection._count(0)
    this._drain |= OWED
    return false
  }

  /** The connection's queue has drained, and the stream is off its list. */
  _drained () {
    this._drain &= ~LISTED
    if (this._out !== BLOCKED) this._emitDrain()
  }

  _emitDrain () {
    if ((this._drain & OWED) === 0) return
    this._drain &= ~OWED
    if (this._out >= WRITING) context.emit(this._context, this, 'drain')
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
    if (this._out === NO_WRITES) {
      if (done !== undefined) process.nextTick(done)
      return this
    }
    keep(this)
    const isPlain = value === undefined || value === null
    if (this._out >= WRITING) {
      // A half that was never used has nothing to lose, and nothing to wait for.
      if (this._out === ANSWERING && isPlain) this._endUnused()
      else if (this._connection._canSend()) this._sendEnd(value, encoding)
    } else if (!isPlain && this._isCutOff()) {
      halfOpen.tooLate(this, done)
      return this
    } else if (!isPlain) {
      super.end(EMPTY, done) // as Node: a write after the end
      return this
    }
    super.end(done)
    return this
  }

  setDefaultEncoding (encoding) {
    super.setDefaultEncoding(encoding)
    this._encoding = encoding
    return this
  }

  _endUnused () {
    this._accept()
    const connection = this._connection
    if (connection._canSend()) engine.put(op.END, connection._number, this._nativeHandle, 0)
    this._out = ENDED
    this._finished = true
  }

  // Ends such a half of a stream whose other half is over, past what Node does for it.
  _closeUnused () {
    this._endUnused()
    const state = this._writableState
    state.ending = state.ended = state.finished = true
    this._close()
  }

  _sendEnd (value, encoding) {
    const connection = this._connection
    let queued = 0
    let bytes
    let json
    if (value !== undefined && value !== null) {
      const goesAsBytes = isBytes(value) || (typeof value === 'string' && (encoding || this._encoding))
      if (goesAsBytes) bytes = sendable(value, encoding || this._encoding)
      else json = boundedJson(value, 'This end value')
    }
    this._accept()
    if (this._out === MUTED) {
      this._finished = true
    } else {
      if (bytes !== undefined) queued = this._encode(bytes)
      if (json === undefined) engine.put(op.END, connection._number, this._nativeHandle, 0)
      else queued = engine.text(op.END_VALUE, connection._number, this._nativeHandle, json)
    }
    this._out = ENDED
    this._uncountOwn()
    connection._count(queued)
  }

  // The end is on its way; 'finish' comes when the kernel has it.
  _final (done) {
    if (this._isLost()) return this._close()
    if (this._finished) {
      done()
      this._endUnread()
      return
    }
    if (!this._connection._canSend()) {
      this._quiet = true // a peer that half-closes brings this about
      return done(callerError('ERR_MUX_CONNECTION_CLOSED'))
    }
    this._connection._mark(this._nativeHandle, (error) => {
      if (!error && this._isLost()) return this._close()
      if (error) this._quiet = true // the connection's failure, not this stream's
      else this._finished = true
      context.run(this._context, done, undefined, error)
      if (error) return
      this._endUnread()
      halfOpen.openerFinished(this)
    })
  }

  // Whether the peer destroyed its stream and somebody waits for what was written to arrive: that is a close without a
  // 'finish', as of a socket.
  _isLost () { return this._lost !== undefined && this._lost.stopCode === 0 && isWatched(this) }

  // Only reached by those who call it themselves: write() does not pass through Node's queue.
  _write (chunk, encoding, done) {
    this.write(chunk, encoding === 'buffer' ? undefined : encoding, done)
  }

  /** Gives up what is written and not sent yet, and what would follow. On the legacy wire it is an end. */
  reset (code = 0) {
    wireCode(code)
    if (this.destroyed || this._out === NO_WRITES || (this._out === ENDED && this._finished)) return this
    this._sendReset(code)
    this._lost = streamError('ERR_MUX_STREAM_RESET', code)
    this._giveUp()
    return this
  }

  _sendReset (code) {
    const connection = this._connection
    this._accept()
    if (!connection._canSend() || this._out === MUTED) return
    engine.coded(op.RESET, connection._number, this._nativeHandle, code)
  }

  // The writing half is over, whatever was still under way.
  _giveUp () {
    this._out = ENDED
    this._finished = true
    this._uncountOwn()
    super.end()
  }

  /** Says how urgent the stream is: 0 to 7, lower ones first, and in turns with its equals or one after the other. */
  setPriority (options) {
    this._connection._prioritise(this._nativeHandle, options)
    return this
  }

  // ---- called by the engine ----

  _onBlocked () {
    if (this._out === WRITING || this._out === ANSWERING) this._out = BLOCKED
  }

  _onUnblocked () {
    if (this._out !== BLOCKED) return
    this._out = (this._nativeHandle & 1) === 1 && (this._bits & USED) === 0 ? ANSWERING : WRITING
    if (this._drain !== OWED) return // or it is told with the connection's others
    const connection = this._connection
    if (connection._queued < connection._highWater && !connection._isAboutToBlock()) this._emitDrain()
    else this._full()
  }

  // The peer wants no more, and native code has given our half up; on the legacy wire it goes on.
  _onStopped (code) {
    if (this._out === NO_WRITES || this.destroyed || (this._out === ENDED && this._finished)) return
    if (this.listenerCount('stopSending') > 0) {
      this._lost = streamError('ERR_MUX_STREAM_STOPPED', code)
      this._bits |= CUT
      if (this._halves === WRITES && this._out === WRITING) this._sendEnd()
      this._giveUp()
      context.emit(this._context, this, 'stopSending', code)
    } else if (code !== 0) {
      this._out = ENDED
      this._finished = true
      this._uncountOwn()
      this._fail(streamError('ERR_MUX_STREAM_STOPPED', code))
    } else {
      this._readerGone()
    }
  }

  // The peer destroyed its stream. As on the legacy wire a writer that nobody watches never learns of that.
  _readerGone () {
    const isHeard = isWatched(this)
    if (isHeard) this._lost = streamError('ERR_MUX_STREAM_STOPPED', 0)
    if (this._halves === BOTH && this._out !== ENDED) {
      this._out = MUTED
      this._emitDrain()
    }
    // What it has still to read is read first.
    if (isHeard && (this._halves === WRITES || this._isUnread())) this._close()
    else halfOpen.consider(this)
  }

  _close () { context.run(this._context, this.destroy, this) }

  _uncountOwn () {
    if ((this._nativeHandle & 1) === 0) this._uncount()
  }
}

module.exports = { Writer }
