'use strict'

// One stream, as a Duplex whose hot paths bypass Node's buffers. A stream has a reading half and a writing half, which
// own their state; this file joins them, and decides how the stream ends.
//
// This file may not: choose handles, count streams against the limit, or keep a connection open. Bytes that came in
// belong to the application; bytes that go out are copied before a call returns.

const { Duplex } = require('node:stream')
const acceptance = require('./acceptance')
const { op } = require('./boundary')
const context = require('./context')
const { callerError, streamError } = require('./errors')
const halfOpen = require('./half-open')
const { UNPARSED, forgetMeta, parseMeta } = require('./meta')
const { isHeard, isWatched } = require('./node-buffer')
const { describeStream, inspectable } = require('./inspect')
const { priority, wireCode } = require('./options')
const { Reader } = require('./stream-reader')
const { asSocket } = require('./stream-socket')
const { Writer } = require('./stream-writer')
const { REACHED, WEAK, keep } = require('./unreachable')
const {
  READS, WRITES, BOTH, NO_WRITES, WRITING, ANSWERING, UNCLAIMED, CLAIMED, NO_READS, COUNTED, UNCOUNTED, DONE, noStream
} = require('./stream-state')

// Node's own high-water mark stops nobody: the connection, or credit, bounds how much may wait. The mark is not 0,
// because Node would then never look again at a buffer whose flow was interrupted.
const TWO_WAY = { readableObjectMode: true, emitClose: true }
const TWO_WAY_BYTES = { ...TWO_WAY, readableObjectMode: false }
const ACCEPTED = { ...TWO_WAY, writable: false }
const CREATED = { ...TWO_WAY, readable: false }
const CREATED_BYTES = { ...CREATED, readableObjectMode: false }

const { PATIENCE } = halfOpen

class MuxStream extends Duplex {
  /** @param {boolean} isTwoWay whether streams of the wire have both directions */
  constructor (connection, handle, id, meta, asyncContext, remote, messages, isTwoWay) {
    super(isTwoWay ? (messages ? TWO_WAY : TWO_WAY_BYTES) : remote ? ACCEPTED : messages ? CREATED : CREATED_BYTES)
    // A stream of the legacy wire has one half. There allowHalfOpen has no effect, and stays as Node sets it.
    if (isTwoWay) this.allowHalfOpen = connection._settings.allowHalfOpen
    this.id = id
    this._meta = meta
    this._metaCost = remote && meta !== undefined ? UNPARSED : 0 // owned by meta.js, as is `_meta`
    this._connection = connection
    this._nativeHandle = handle // not "_handle": Node takes that for the handle of a socket
    this._context = asyncContext
    this._halves = isTwoWay ? BOTH : remote ? READS : WRITES
    this._reader = new Reader(this, remote || isTwoWay ? UNCLAIMED : NO_READS)
    this._writer = new Writer(this, !remote ? WRITING : isTwoWay ? ANSWERING : NO_WRITES)
    this._stage = COUNTED
    this._isErrorOptional = false // if the connection or the peer ends it, 'error' is emitted only if somebody listens
    this._acceptance = remote ? acceptance.WAITING : null // owned by acceptance.js
    this._unheard = null // a Wait, while the stream waits for a 'stream' listener
    this._halfOpen = 0 // owned by half-open.js
    this._reach = REACHED // owned by unreachable.js
  }

  get meta () {
    if (this._metaCost === UNPARSED) {
      keep(this)
      parseMeta(this)
    }
    return this._meta
  }

  set meta (value) {
    if (this._metaCost === UNPARSED) this._metaCost = 0
    this._meta = value
  }

  // On the legacy wire, both are true while the stream lives, even for the half that it does not have, as in version
  // 0.1.0.
  get readable () {
    return this._halves === WRITES ? !this.destroyed && !this.writableFinished : super.readable
  }

  set readable (value) { super.readable = value }

  get writable () {
    return this._halves === READS ? !this.destroyed && !this.readableEnded : super.writable
  }

  set writable (value) { super.writable = value }

  // ---- the reading half, as programs and Node call it ----

  on (event, listener) {
    this._reader.notice(event, listener)
    if (this._stage === DONE || this._reach === WEAK) this._listened()
    return super.on(event, listener)
  }

  prependListener (event, listener) {
    if (this._stage === DONE || this._reach === WEAK) this._listened()
    return super.prependListener(event, listener)
  }

  // If nobody waited for the stream's end before, the connection did not keep it. From now on the stream is to be told.
  _listened () {
    keep(this)
    if (this._stage === DONE && !this.destroyed) this._connection._streams.outlives(this)
  }

  read (n) { return this._reader.read(n) }

  pause () {
    if (this._reader.state === UNCLAIMED) this._reader.claim()
    return super.pause()
  }

  resume () {
    if (this._reader.state === UNCLAIMED) this._reader.claim()
    return super.resume()
  }

  setEncoding (encoding) {
    this._reader.setEncoding(encoding)
    return this
  }

  /** Node's iterator would destroy the stream after its end, and with it an answer that is still to be given. */
  [Symbol.asyncIterator] () {
    if (this._halves !== BOTH) return super[Symbol.asyncIterator]()
    return untilReturn(this, super.iterator({ destroyOnReturn: false }))
  }

  _read () {} // data comes when it comes

  // ---- the writing half ----

  get writableHighWaterMark () { return this._connection._queue.highWater }

  get writableLength () { return this._writer.length }

  get writableNeedDrain () { return this._writer.needsDrain }

  write (chunk, encoding, done) { return this._writer.write(chunk, encoding, done) }

  end (value, encoding, done) {
    this._writer.end(value, encoding, done)
    return this
  }

  setDefaultEncoding (encoding) {
    super.setDefaultEncoding(encoding)
    this._writer.setDefaultEncoding(encoding)
    return this
  }

  // Only a program that calls _write() itself gets here: write() bypasses Node's queue.
  _write (chunk, encoding, done) {
    this.write(chunk, encoding === 'buffer' ? undefined : encoding, done)
  }

  _final (done) { return this._writer.final(done) }

  /** Drops what is written and not sent yet, and all that would follow. On the legacy wire the peer gets an end. */
  reset (code = 0) {
    this._writer.reset(code)
    return this
  }

  /** Sets the urgency of the stream, from 0 (first) to 7, and whether it takes turns with its equals. */
  setPriority (options) {
    this._connection._link.command(op.PRIORITY, this._nativeHandle, priority(options))
    return this
  }

  // ---- called by the engine, as every entry of its table ----

  _data (offset, length) { this._reader.onData(offset, length) }
  _wantsValue (length) { return this._reader.wantsValue(length) }
  _onValue (value, length) { this._reader.onValue(value, length) }
  _onEnd (value) { this._reader.onEnd(value) }
  _onBlocked () { this._writer.onBlocked() }
  _onUnblocked () { this._writer.onUnblocked() }
  _onStopped (code) { this._writer.onStopped(code) }

  /** The opener reads no answer. */
  _onUnread () { halfOpen.onUnread(this) }

  /** The peer gave up the rest of its half. */
  _onReset (code) {
    if (this._reader.hasEnded) return
    this._reader.noteEnd()
    if (!this._isOurs()) this._uncount()
    this._fail(streamError('ERR_MUX_STREAM_RESET', code))
  }

  // ---- the life of a stream of the peer's ----

  /** Refuses the stream with a code, which its creator gets. This is possible until the stream is used in any way. */
  refuse (code = 0) {
    wireCode(code)
    const isUsed = this._reader.state !== UNCLAIMED ||
      this._writer.state !== (this._halves === BOTH ? ANSWERING : NO_WRITES)
    if (this._isOurs() || isUsed || this.destroyed) throw callerError('ERR_MUX_ALREADY_ACCEPTED')
    if (!acceptance.refuse(this, code)) this._takeBack(code)
    this._writer.shut()
    this._reader.noteEnd()
    this._reader.shut()
    return this.destroy()
  }

  // The stream was acknowledged meanwhile, so its creator gets a stream that fails.
  _takeBack (code) {
    const { _connection: { _link: link }, _nativeHandle: handle } = this
    if (!link.canSend()) return
    if (this._halves === BOTH) {
      link.coded(op.RESET, handle, code)
      link.coded(op.STOP, handle, code)
    } else {
      link.command(op.DISCARD, handle, 0)
    }
  }

  /** The stream is used: its creator gets the acknowledgement, unless that was sent. */
  _accept () { acceptance.accept(this) }

  /** The 'stream' event has been emitted. */
  _onAnnounced () {
    acceptance.announced(this)
    if (this._halves === READS && this._reader.state === NO_READS && !this._reader.hasEnded) {
      this._connection._link.command(op.DISCARD, this._nativeHandle, 0)
    }
  }

  /** All promises that served the stream have settled. */
  _served () {
    this._accept()
    halfOpen.consider(this)
  }

  /** Too many streams wait for a 'stream' listener. This one is acknowledged, and what comes on it is dropped. */
  _onUnheard () {
    this._accept()
    this._reader.discard(0)
    this._uncount()
    if (this._reader.hasEnded) this._retire()
  }

  // ---- the end of the stream ----

  /** Asks the peer to send no more, and drops what is buffered. */
  stopSending (code = 0) {
    wireCode(code)
    if (this.destroyed || this._halves === WRITES || this._reader.hasEnded) return this
    this._accept()
    this._connection._link.coded(op.STOP, this._nativeHandle, code)
    // The program may go on with its own half, if it has one.
    this.allowHalfOpen = true
    this._reader.cutOff()
    this.resume() // nothing is left to hold back
    return this
  }

  // Ends the stream because of the peer or the connection: 'error' is emitted only if somebody listens.
  _fail (error) {
    this._isErrorOptional = true
    context.run(this._context, this.destroy, this, error)
  }

  /**
   * Native code has closed the stream: both halves are over. @returns {boolean} whether the handle may be used again
   */
  _onClosed () {
    this._uncount()
    if (!this.destroyed) this._connection._streams.outlives(this)
    const reader = this._reader
    // If nobody has asked for the data and nobody waits for the end, the data is not held any more.
    if (this._halves === BOTH && reader.state === UNCLAIMED && !this._isWaitedFor()) reader.releaseAll()
    this._stage = DONE
    forgetMeta(this)
    if (this._halves !== BOTH) return true
    if (reader.heldBytes > 0) return false
    this._nativeHandle = noStream(this._nativeHandle)
    return true
  }

  /** Held bytes are consumed. Native code keeps the handle of a closed stream until all of them are. */
  _onReleased () {
    if (this._stage !== DONE || this._halves !== BOTH || this._reader.heldBytes > 0) return
    this._connection._streams.free(this._nativeHandle)
    this._nativeHandle = noStream(this._nativeHandle)
  }

  /** Whether native code has closed the stream. */
  _isDone () { return this._stage === DONE }

  _isOurs () { return (this._nativeHandle & 1) === 0 }

  _isClaimed () { return this._reader.state !== UNCLAIMED }

  // Whether somebody waits for the stream's end, or is still to be told of the stream.
  _isWaitedFor () { return this._unheard !== null || isWatched(this) || this.listenerCount('end') > 0 }

  /**
   * Nothing more comes on the connection. If `isOver`, nothing more can be sent either. The stream closes now, or when
   * the program has read what came.
   */
  _onConnectionEnd (reason, isOver) {
    if (this.destroyed) return
    // A 'stream' listener may still be added.
    if (this._unheard !== null && this._connection._failure === null) {
      return this._unheard.onConnectionEnd(reason, isOver)
    }
    const { _reader: reader, _writer: writer } = this
    if (!reader.hasEnded && reader.state !== NO_READS) {
      // A program need not know that the peer could answer on a stream that the program opened.
      const isAwaited = this._halves !== BOTH || !this._isOurs() || reader.state !== UNCLAIMED || !reader.isUnread()
      if (isAwaited || (isOver && !writer.hasFinished)) return this._cutOff(reason)
      reader.noteEnd()
      return reader.endIfSilent()
    }
    if (!isOver) return
    // A half that was never used has lost nothing.
    const isUnused = writer.state === ANSWERING
    if (!isUnused && !writer.hasFinished && writer.state !== NO_WRITES) return this._cutOff(reason)
    if (reader.state === UNCLAIMED) this._endLeft()
    else if (isUnused) halfOpen.consider(this)
    else if (reader.state !== CLAIMED || this.readableEnded) this._retire()
  }

  // The peer had ended the stream, and nobody has asked for its data yet.
  _endLeft () {
    if (this.listenerCount('end') > 0) return void setImmediate(dropLeft, this)
    if (this._reader.isUnread()) return this._retire()
    context.later(PATIENCE, dropLeft, this)
  }

  _cutOff (reason) {
    if (this._unheard !== null) this._reader.discard(0)
    this._fail(reason)
  }

  /** Closes the stream without an error. */
  _retire () { context.run(this._context, this.destroy, this) }

  _destroy (error, done) {
    keep(this)
    this._tellDestroyed(error)
    this._reader.shut()
    done(this._isErrorOptional && !isHeard(this) ? null : error)
  }

  _tellDestroyed (error) {
    const { _connection: connection, _nativeHandle: handle, _reader: reader } = this
    if (this._halves === BOTH) this._accept()
    this._writer.breakOff(error)
    if (this._halves === BOTH) {
      if (!reader.hasEnded) connection._link.command(op.DISCARD, handle, 0)
    } else if (this._halves === READS && reader.state !== NO_READS && !reader.hasEnded &&
        this._acceptance === null && !connection._hasPeerEnded) {
      connection._link.command(op.DISCARD, handle, 0)
    }
  }

  _uncount () {
    if (this._stage !== COUNTED) return
    this._stage = UNCOUNTED
    this._connection._streams.countDown(this._nativeHandle)
  }
}

MuxStream.prototype.addListener = MuxStream.prototype.on

// Makes an iterator that destroys its stream if the loop is left early, as Node's does.
function untilReturn (stream, iterator) {
  return {
    next: () => iterator.next(),
    return (value) {
      stream.destroy()
      return iterator.return(value)
    },
    throw (error) {
      stream.destroy()
      return iterator.throw(error)
    },
    [Symbol.asyncIterator] () { return this }
  }
}

// Drops data that nobody asked for after the end of the connection, and closes the stream.
function dropLeft (stream) {
  const reader = stream._reader
  if (stream.destroyed || reader.state !== UNCLAIMED) return
  if (stream.listenerCount('end') > 0) return reader.drop()
  reader.discard(0)
  stream._retire()
}

asSocket(MuxStream)
inspectable(MuxStream, 'MuxStream', describeStream)

module.exports = { MuxStream }
