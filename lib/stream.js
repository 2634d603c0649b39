'use strict'

// One stream, as a Duplex whose hot paths do not pass through Node's buffers: its two halves, and the end of it.
//
// This file may not: choose handles, count streams against the limit, or keep a connection open. Bytes that came in
// belong to the application; bytes that go out are copied before a call returns.

const { Duplex } = require('node:stream')
const { op } = require('./boundary')
const { Acceptance } = require('./acceptance')
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

// Node's own high water mark stops nobody: how much may wait is bounded by the connection, or by credit. It is not 0,
// because Node then never looks again at a buffer whose flow was broken off.
const TWO_WAY = { readableObjectMode: true, emitClose: true }
const TWO_WAY_BYTES = { ...TWO_WAY, readableObjectMode: false }
const ACCEPTED = { ...TWO_WAY, writable: false }
const CREATED = { ...TWO_WAY, readable: false }
const CREATED_BYTES = { ...CREATED, readableObjectMode: false }

const { PATIENCE } = halfOpen

class MuxStream extends Duplex {
  /** @param {boolean} isWhole whether the wire has both directions on a stream */
  constructor (connection, handle, id, meta, asyncContext, remote, messages, isWhole) {
    super(isWhole ? (messages ? TWO_WAY : TWO_WAY_BYTES) : remote ? ACCEPTED : messages ? CREATED : CREATED_BYTES)
    // On the legacy wire, where a stream has one half, it is of no use, and stays as Node sets it.
    if (isWhole) this.allowHalfOpen = connection._settings.allowHalfOpen
    this.id = id
    this._meta = meta
    this._metaCost = remote && meta !== undefined ? UNPARSED : 0 // meta.js has both
    this._connection = connection
    this._nativeHandle = handle // not "_handle": Node takes that for the handle of a socket
    this._context = asyncContext
    this._halves = isWhole ? BOTH : remote ? READS : WRITES
    this._reader = new Reader(this, remote || isWhole ? UNCLAIMED : NO_READS)
    this._writer = new Writer(this, !remote ? WRITING : isWhole ? ANSWERING : NO_WRITES)
    this._stage = COUNTED
    this._isErrorOptional = false // it ends by its connection or the peer: no 'error' unless somebody listens
    this._acceptance = remote ? new Acceptance(this) : null // until its opener is answered
    this._unheard = null // while it waits for a 'stream' listener
    this._halfOpen = null // half-open.js has it
    this._reach = REACHED // unreachable.js has it
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

  // On the legacy wire both say true while the stream lives, also for the half it does not have: version 0.1.0 did.
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

  // Perhaps nobody waited for its end before: from here on it is to be told of it.
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

  /** Node would destroy the stream behind its end, and with it an answer that is still to be given. */
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

  // Only reached by those who call it themselves: write() does not pass through Node's queue.
  _write (chunk, encoding, done) {
    this.write(chunk, encoding === 'buffer' ? undefined : encoding, done)
  }

  _final (done) { return this._writer.final(done) }

  /** Gives up what is written and not sent yet, and what would follow. On the legacy wire it is an end. */
  reset (code = 0) {
    this._writer.reset(code)
    return this
  }

  /** Says how urgent the stream is: 0 to 7, lower ones first, and in turns with its equals or one after the other. */
  setPriority (options) {
    this._connection._link.command(op.PRIORITY, this._nativeHandle, priority(options))
    return this
  }

  // ---- called by the engine, as what stands in its table ----

  _data (offset, length) { this._reader.onData(offset, length) }
  _wantsValue (length) { return this._reader.wantsValue(length) }
  _onValue (value, length) { this._reader.onValue(value, length) }
  _onEnd (value) { this._reader.onEnd(value) }
  _onBlocked () { this._writer.onBlocked() }
  _onUnblocked () { this._writer.onUnblocked() }
  _onStopped (code) { this._writer.onStopped(code) }

  /** The opener reads no answer. */
  _onUnread () { halfOpen.onUnread(this) }

  /** The peer gave the rest of its half up. */
  _onReset (code) {
    if (this._reader.hasEnded) return
    this._reader.noteEnd()
    if (!this._isOurs()) this._uncount()
    this._fail(streamError('ERR_MUX_STREAM_RESET', code))
  }

  // ---- the life of a stream of the peer's ----

  /** The stream is not accepted, and its creator learns this code. Until the stream is used in any way. */
  refuse (code = 0) {
    wireCode(code)
    const isUsed = this._reader.state !== UNCLAIMED ||
      this._writer.state !== (this._halves === BOTH ? ANSWERING : NO_WRITES)
    if (this._isOurs() || isUsed || this.destroyed) throw callerError('ERR_MUX_ALREADY_ACCEPTED')
    if (this._acceptance !== null) this._acceptance.refuse(code)
    else this._takeBack(code)
    this._writer.shut()
    this._reader.noteEnd()
    this._reader.shut()
    return this.destroy()
  }

  // The stream was acknowledged meanwhile: its creator sees one that fails.
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

  /** The stream is used: its creator learns that it is open, unless that is known. */
  _accept () { if (this._acceptance !== null) this._acceptance.accept() }

  /** The 'stream' event is over. */
  _onAnnounced () {
    if (this._acceptance !== null) this._acceptance.onAnnounced()
    if (this._halves === READS && this._reader.state === NO_READS && !this._reader.hasEnded) {
      this._connection._link.command(op.DISCARD, this._nativeHandle, 0)
    }
  }

  /** The promises that served it have settled. */
  _served () {
    this._accept()
    halfOpen.consider(this)
  }

  /** More streams wait for a 'stream' listener than may: this one is acknowledged, and what comes on it is dropped. */
  _onUnheard () {
    this._accept()
    this._reader.discard(0)
    this._uncount()
    if (this._reader.hasEnded) this._retire()
  }

  // ---- the end of it ----

  /** Wants nothing more of what the peer sends; what is buffered is dropped. */
  stopSending (code = 0) {
    wireCode(code)
    if (this.destroyed || this._halves === WRITES || this._reader.hasEnded) return this
    this._accept()
    this._connection._link.coded(op.STOP, this._nativeHandle, code)
    // The program goes on with its own half, if it has one.
    this.allowHalfOpen = true
    this._reader.cutOff()
    this.resume() // nothing is left to hold back
    return this
  }

  // The peer's doing: 'error' only where somebody listens.
  _fail (error) {
    this._isErrorOptional = true
    context.run(this._context, this.destroy, this, error)
  }

  /** Both halves are over. @returns {boolean} whether the handle may be used again */
  _onClosed () {
    this._uncount()
    if (!this.destroyed) this._connection._streams.outlives(this)
    const reader = this._reader
    // Data that nobody has asked for, and whose end nobody waits for, is not held for anybody any more.
    if (this._halves === BOTH && reader.state === UNCLAIMED && !this._isWaitedFor()) reader.releaseAll()
    this._stage = DONE
    forgetMeta(this)
    if (this._halves !== BOTH) return true
    if (reader.heldBytes > 0) return false
    this._nativeHandle = noStream(this._nativeHandle)
    return true
  }

  /** Something that was held is consumed. Native code keeps a closed stream's handle until all of it is. */
  _onReleased () {
    if (this._stage !== DONE || this._halves !== BOTH || this._reader.heldBytes > 0) return
    this._connection._streams.free(this._nativeHandle)
    this._nativeHandle = noStream(this._nativeHandle)
  }

  /** Native code is done with the stream. */
  _isDone () { return this._stage === DONE }

  _isOurs () { return (this._nativeHandle & 1) === 0 }

  _isClaimed () { return this._reader.state !== UNCLAIMED }

  // Whether somebody waits for its end, or will be told of it at all.
  _isWaitedFor () { return this._unheard !== null || isWatched(this) || this.listenerCount('end') > 0 }

  /**
   * Nothing more comes on the connection, and with `isOver` nothing can be sent either: the stream closes, now, or when
   * what it has was read.
   */
  _onConnectionEnd (reason, isOver) {
    if (this.destroyed) return
    // A 'stream' listener may still come for it.
    if (this._unheard !== null && this._connection._failure === null) {
      return this._unheard.onConnectionEnd(reason, isOver)
    }
    const { _reader: reader, _writer: writer } = this
    if (!reader.hasEnded && reader.state !== NO_READS) {
      // Of a stream of ours programs need not know that it can be answered.
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

  // The peer had ended it, and nobody has asked for it yet.
  _endLeft () {
    if (this.listenerCount('end') > 0) return void setImmediate(dropLeft, this)
    if (this._reader.isUnread()) return this._retire()
    context.later(PATIENCE, dropLeft, this)
  }

  _cutOff (reason) {
    if (this._unheard !== null) this._reader.discard(0)
    this._fail(reason)
  }

  /** The stream is over, and nothing is wrong with it. */
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

// An iterator that destroys its stream if the loop is left early, as Node's does.
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

// What nobody asked for behind the end of the connection is dropped, and the stream closes.
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
