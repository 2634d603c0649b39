'use strict'

// The reading half of a stream: delivers what the engine passes on, past Node's buffer if possible, and serves what
// programs call.
//
// This file may not: send anything itself, know how a stream ends, or touch a field of the writing half.

const { Duplex } = require('node:stream')
const context = require('./context')
const { Early, PARSED, PER_CHUNK } = require('./early')
const { cut } = require('./engine') // taken out once: a look-up in the module for each message took a tenth of the time
const halfOpen = require('./half-open')
const { Held } = require('./held')
const { clearBuffered, decodeBuffered, flowOn } = require('./node-buffer')
const { notePipe } = require('./pipelines')
const { BOTH, UNCLAIMED, CLAIMED, DROPPING, NO_READS } = require('./stream-state')
const { keep } = require('./unreachable')
const { warnOnce } = require('./warnings')

// An end value of at least this size counts as held until it was emitted.
const LARGE_VALUE = 4096

// Facts about a reading half.
const ENDED = 1 // the peer has ended or reset the half, or nothing more is awaited of it
const DATA_EMITTED = 2
const WITHIN_READ = 4 // read(), which emits 'data', is on the stack
const END_EMITTED = 8
const HEEDED = 16 // the program has listened for data, or for the end, at any time

class Reader {
  constructor (stream, state) {
    this._stream = stream
    this.state = state
    this._facts = 0
    this.early = null // what came before somebody asked for it
    this._endValue = undefined
    this._held = null // made when something is held for the first time
    this._programsEmit = undefined // the emit() that the program set on the stream
  }

  get hasEnded () { return (this._facts & ENDED) !== 0 }

  get isHeeded () { return (this._facts & HEEDED) !== 0 }

  get isWithinRead () { return (this._facts & WITHIN_READ) !== 0 }

  get heldBytes () { return this._held === null ? 0 : this._held.bytes }

  /** The bytes of an end value among them. */
  get heldEndBytes () { return this._held === null ? 0 : this._held.endBytes }

  get earlyBytes () { return this.early === null ? 0 : this.early.bytes }

  // ---- called by the engine ----

  onData (offset, length) {
    if (this.state === CLAIMED) {
      const state = this._stream._readableState
      if (state.flowing === true && state.length === 0) this._deliver(state, cut(offset, length))
      else this._buffer(cut(offset, length), length + PER_CHUNK, false)
    } else if (this.state === UNCLAIMED) {
      this._keep(cut(offset, length), length, length + PER_CHUNK)
    } else if (this.state === DROPPING) {
      this._stream._connection._counts.discard(0, length)
    }
  }

  /** Whether a value of type 1 is wanted. A value that nobody will see need not be parsed. */
  wantsValue (length) {
    if (this.state === DROPPING) this._stream._connection._counts.discard(0, length)
    return this.state === CLAIMED || this.state === UNCLAIMED
  }

  /** Data of type 1: a parsed value. No known version sends one. */
  onValue (value, length) {
    const charge = length * PARSED + PER_CHUNK
    if (this.state === CLAIMED) {
      const state = this._stream._readableState
      if (state.flowing === true && state.length === 0) this._emitData(state, value)
      else this._buffer(value, charge, false)
    } else if (this.state === UNCLAIMED) {
      this._keep(value, length, charge)
    }
  }

  _deliver (state, chunk) {
    if (state.decoder !== null) {
      const text = state.decoder.write(chunk)
      // The text is empty because the chunk is part of a character, which the next chunk completes.
      if (text === '' && chunk.length > 0) return
      chunk = text
    }
    this._emitData(state, chunk)
  }

  // Does what Readable does if it flows and nothing is buffered, and nothing else.
  _emitData (state, chunk) {
    if (state.awaitDrainWriters !== null) {
      if (state.multiAwaitDrain) state.awaitDrainWriters.clear()
      else state.awaitDrainWriters = null
    }
    if ((this._facts & DATA_EMITTED) === 0) {
      this._facts |= DATA_EMITTED
      state.dataEmitted = true
    }
    const stream = this._stream
    if (stream._context === null) stream.emit('data', chunk)
    else stream._context.runInAsyncScope(stream.emit, stream, 'data', chunk)
  }

  // Nobody takes the chunk now. Node's buffer keeps it, and native code is told, unless the chunk is held already.
  _buffer (chunk, charge, isHeld) {
    const stream = this._stream
    const state = stream._readableState
    const held = this._holding()
    let encoding
    if (state.decoder !== null) {
      if (ArrayBuffer.isView(chunk)) {
        const text = state.decoder.write(chunk)
        if (text === '' && chunk.length > 0) {
          if (isHeld) held.release(charge)
          return
        }
        chunk = text
      }
      encoding = state.encoding // the chunk is decoded already
    }
    // To Node a null would be the end of the stream. So the JSON value `null` waits as its text.
    if (chunk === null) chunk = Buffer.from('null')
    chunk = held.enter(chunk, charge)
    if (!isHeld) held.hold(charge)
    context.run(stream._context, stream.push, stream, chunk, encoding)
  }

  _holding () {
    if (this._held === null) this._held = new Held(this._stream)
    return this._held
  }

  // Nobody has asked for the chunk yet. On a wire with credit, held bytes stop the sender; on the other, there is a
  // limit.
  _keep (chunk, length, charge) {
    const hasCredit = this._stream._halves === BOTH
    if (this.early === null) {
      this.early = new Early(hasCredit ? Infinity : this._stream._connection._settings.unclaimedLimit)
    }
    if (this.early.add(chunk, length, charge)) {
      if (hasCredit) this._holding().hold(charge)
      return
    }
    this.discard(length)
  }

  /** Drops what was kept, `bytes` more, and all that follows. */
  discard (bytes) {
    this._stream._connection._counts.discard(1, this._dropEarly() + bytes)
    this.state = DROPPING
    warnOnce('MUX_STREAM_DISCARDED')
  }

  // @returns {number} the number of bytes that were dropped
  _dropEarly () {
    const bytes = this.earlyBytes
    this.early = null
    return bytes
  }

  /** Ends the reading: what waited for a reader is dropped. */
  shut () {
    this.state = NO_READS
    this.early = null
    this.releaseAll()
    this._held = null
  }

  /** Ends the reading while the stream goes on: nothing more of the peer's is awaited, and 'end' follows. */
  cutOff () {
    this.noteEnd()
    clearBuffered(this._stream._readableState)
    this.shut()
    this.pushEnd()
  }

  /** Releases all that is held. */
  releaseAll () {
    if (this._held !== null) this._held.releaseAll()
  }

  // ---- the peer's end ----

  /** Nothing more is awaited of the peer. */
  noteEnd () { this._facts |= ENDED }

  onEnd (value) {
    if (this.hasEnded) return
    this.noteEnd()
    const stream = this._stream
    if (!stream._isOurs()) stream._uncount()
    if (this.state === NO_READS) return
    if (value !== undefined && value.length >= LARGE_VALUE) value = this._holdEnd(value)
    this._endValue = value
    if (this.state === UNCLAIMED) this._endsUnclaimed()
    else context.run(stream._context, this.pushEnd, this)
  }

  // A large end value waits for its reader as data does. Otherwise a peer could pile such values up on streams that are
  // paused, or that nobody reads. Of values that nobody has asked for, the connection keeps a limited sum.
  _holdEnd (value) {
    const bytes = value.length
    const stream = this._stream
    if (this.state === UNCLAIMED && !stream._connection._budget.canKeepValue(bytes)) {
      if (stream.listenerCount('end') > 0) return value // the value is about to be emitted
      this.discard(bytes)
      return undefined
    }
    this._holding().holdEnd(bytes)
    return value
  }

  _endsUnclaimed () {
    const stream = this._stream
    const isAwaited = stream.listenerCount('end') > 0
    if ((stream._halves === BOTH && !stream._isOurs()) || isAwaited) setImmediate(endUnclaimed, this)
    else if (stream._halves === BOTH) this.endIfSilent()
  }

  /** A stream of ours is over if the peer said nothing on it, nobody asked for its data, and our half has finished. */
  endIfSilent () {
    const stream = this._stream
    if (stream._writer.hasFinished && this.isSilent()) process.nextTick(endSilent, this, stream.writableFinished)
  }

  /** Whether the peer ended a half that nobody reads without having said anything on it. */
  isSilent () {
    return this.hasEnded && this.state === UNCLAIMED && this.isUnread() && this._stream._halves === BOTH &&
      this._stream._isOurs()
  }

  /** Whether nothing is left that a reader could read or wait for. */
  isUnread () {
    if (this.state === UNCLAIMED) return this.early === null && this._endValue === undefined
    return this.state !== CLAIMED || this._stream.readableEnded
  }

  /** Drops what was kept for a reader. 'end' follows. */
  drop () {
    const dropped = this._dropEarly()
    const stream = this._stream
    if (dropped > 0) stream._connection._counts.discard(1, dropped)
    if (this._held !== null) this._held.releaseChunks()
    this.state = DROPPING
    context.run(stream._context, this.pushEnd, this)
  }

  pushEnd () {
    const stream = this._stream
    // The emit() that the program, or one of its libraries, has set is still called.
    if (stream.emit !== emitEnd) {
      if (Object.hasOwn(stream, 'emit')) this._programsEmit = stream.emit
      stream.emit = emitEnd
    }
    stream.push(null)
    // Nobody reads what was dropped, but a listener that waits for the end must see it.
    if (this.state === DROPPING && stream.readableFlowing === null) Duplex.prototype.resume.call(stream)
  }

  // ---- called by programs and by Node ----

  /** The program adds a listener. */
  notice (event, listener) {
    if (this.state === UNCLAIMED) this._interest(event)
    if (event === 'data' || event === 'end' || event === 'readable') this._facts |= HEEDED
    if (event === 'data' && listener?.name === 'ondata') notePipe(this._stream) // named by Node's pipe()
  }

  _interest (event) {
    const stream = this._stream
    if (halfOpen.isServed(stream) && (event === 'end' || event === 'finish')) stream._accept()
    if (event === 'data' || event === 'readable') this.claim()
    else if (event === 'end' && this.hasEnded) setImmediate(endUnclaimed, this)
  }

  read (n) {
    const stream = this._stream
    // read(0) is a call of Node's, which only looks at the buffer.
    if (this.state === UNCLAIMED && n !== 0) this.claim()
    if (stream._readableState.length === 0) return Duplex.prototype.read.call(stream, n)
    let thrown = true
    const within = this._facts & WITHIN_READ
    this._facts |= WITHIN_READ
    try {
      const chunk = Duplex.prototype.read.call(stream, n)
      thrown = false
      return chunk
    } finally {
      if (within === 0) this._facts &= ~WITHIN_READ
      if (this._held !== null) this._held.releaseRead(stream._readableState)
      // A 'data' listener threw, which ended Node's loop over the buffer.
      if (thrown) setImmediate(flowOn, stream)
    }
  }

  // Node would join the buffered chunks to one string; here messages stay apart.
  setEncoding (encoding) {
    const stream = this._stream
    const state = stream._readableState
    const { length } = state
    if (!state.objectMode || length === 0) {
      Duplex.prototype.setEncoding.call(stream, encoding)
      return
    }
    const gone = decodeBuffered(state, encoding)
    if (this._held !== null) this._held.releaseAt(gone, length)
  }

  /** The program wants what came and what comes. */
  claim () {
    const stream = this._stream
    keep(stream)
    this.state = CLAIMED
    stream._accept()
    if (this.early !== null) {
      const { entries } = this.early
      this.early = null
      const hasCredit = stream._halves === BOTH
      // On a wire with credit, the chunks have been held since they came, unless the stream has closed since.
      const isReleased = hasCredit && stream._isDone()
      for (let i = 0; i < entries.length; i += 3) this._buffer(entries[i], isReleased ? 0 : entries[i + 2], hasCredit)
    }
    if (this.hasEnded) this.pushEnd()
  }

  // Emits 'end' with the end value, if there is one. If a listener throws, the stream must be closed all the same.
  _emitEnd () {
    const stream = this._stream
    const emit = this._emit
    this._facts |= END_EMITTED
    const value = this._endValue
    this._endValue = undefined
    if (this._held !== null) this._held.releaseEnd()
    // The program may have set another emit() over this one meanwhile.
    if (stream.emit === emitEnd) {
      if (this._programsEmit === undefined) delete stream.emit
      else stream.emit = this._programsEmit
    }
    let thrown = true
    try {
      const isHeard = Reflect.apply(emit, stream, value === undefined ? ['end'] : ['end', value])
      thrown = false
      if (stream._halves === BOTH) halfOpen.peerEndSeen(stream)
      return isHeard
    } finally {
      if (thrown) stream.destroy()
    }
  }

  get _emit () { return this._programsEmit || Duplex.prototype.emit }

  // Ends a silent half without Node's push(null), whose consequences take as long as all the rest of such a stream's
  // life.
  _endSilent (hasFinished) {
    const stream = this._stream
    if (!this.isSilent() || stream.destroyed) return
    // The end comes after the ticks of what listeners of 'finish' started.
    if (!hasFinished) return process.nextTick(endSilent, this, true)
    if (stream.listenerCount('end') > 0) return this.drop()
    this.state = DROPPING
    const state = stream._readableState
    state.ended = state.endEmitted = true
    // Otherwise Node destroys the stream after 'finish'.
    if (stream.writableFinished) context.run(stream._context, stream.destroy, stream)
  }

  // The peer has ended a stream whose data nobody asked for.
  _endUnclaimed () {
    const stream = this._stream
    if (this.state !== UNCLAIMED || stream.destroyed) return
    const isHeard = stream.listenerCount('end') > 0
    const isOurs = stream._isOurs()
    if (stream._halves === BOTH) {
      if (isOurs && !isHeard) this.endIfSilent()
      // Data on a stream of ours is an answer: it waits for whoever asked.
      if (isOurs && this.early !== null) return
      // A program that writes without reading ends the stream when it is done. The peer's end must not cut it off.
      if (isOurs) stream.allowHalfOpen = true
    }
    if (isHeard) this.drop()
    else if (!isOurs && stream._halves === BOTH) halfOpen.peerEndSeen(stream)
  }
}

// Takes the place of the stream's `emit` after the peer's end, until Node emits 'end'.
function emitEnd (event, ...rest) {
  const reader = this._reader
  if (event === 'end' && (reader._facts & END_EMITTED) === 0) return reader._emitEnd()
  return Reflect.apply(reader._emit, this, [event, ...rest])
}

function endSilent (reader, hasFinished) { reader._endSilent(hasFinished) }

function endUnclaimed (reader) { reader._endUnclaimed() }

module.exports = { Reader }
