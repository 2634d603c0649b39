'use strict'

// The reading half of a stream: what the engine delivers, past Node's buffer where it can be, and what programs ask.
//
// This file may not: send anything itself, know how a stream ends, or touch what belongs to the writing half.

const { Duplex } = require('node:stream')
const context = require('./context')
const { Early, PARSED, PER_CHUNK } = require('./early')
const { cut } = require('./engine') // Taken out once: a look-up in the module for each message is a tenth of the time.
const halfOpen = require('./half-open')
const { Held } = require('./held')
const { clearBuffered, decodeBuffered, flowOn } = require('./node-buffer')
const { notePipe } = require('./pipelines')
const { BOTH, UNCLAIMED, CLAIMED, DROPPING, NO_READS } = require('./stream-state')
const { keep } = require('./unreachable')
const { warnOnce } = require('./warnings')

// An end value from this size on counts as held until it was emitted.
const LARGE_VALUE = 4096

// Facts of a reading half.
const ENDED = 1 // the peer has ended or reset it, or nothing of it is awaited any more
const DATA_EMITTED = 2
const WITHIN_READ = 4 // read(), which emits 'data', is at work
const END_EMITTED = 8
const HEEDED = 16 // the program has listened for what comes, or for its end, at any time

class Reader {
  constructor (stream, state) {
    this._stream = stream
    this.state = state
    this._facts = 0
    this.early = null // what came while nobody had asked for it
    this._endValue = undefined
    this._held = null // made when something is held
    this._programsEmit = undefined // what the program put in place of emit()
  }

  get hasEnded () { return (this._facts & ENDED) !== 0 }

  get isHeeded () { return (this._facts & HEEDED) !== 0 }

  get isWithinRead () { return (this._facts & WITHIN_READ) !== 0 }

  get heldBytes () { return this._held === null ? 0 : this._held.bytes }

  /** Bytes of an end value among them. */
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

  /** Whether a value of type 1 is wanted: what nobody will see need not be parsed. */
  wantsValue (length) {
    if (this.state === DROPPING) this._stream._connection._counts.discard(0, length)
    return this.state === CLAIMED || this.state === UNCLAIMED
  }

  /** Data of type 1: a parsed value. No version we know of sends it. */
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
      // Part of a character: the next chunk completes it.
      if (text === '' && chunk.length > 0) return
      chunk = text
    }
    this._emitData(state, chunk)
  }

  // What Readable does when it flows and nothing is buffered, without the rest of what Readable does.
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

  // Nobody takes the chunk now. Node's buffer keeps it, and native code learns that it is not consumed, unless it knows.
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
      encoding = state.encoding // already decoded
    }
    // A null would be the end of the stream to Node: JSON data `null` waits as its text.
    if (chunk === null) chunk = Buffer.from('null')
    chunk = held.enter(chunk, charge)
    if (!isHeld) held.hold(charge)
    context.run(stream._context, stream.push, stream, chunk, encoding)
  }

  _holding () {
    if (this._held === null) this._held = new Held(this._stream)
    return this._held
  }

  // Nobody has asked for the chunk yet. With credit the sender is stopped by what is held; without it there is a limit.
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

  /** Drops what was kept, so many bytes more, and what follows. */
  discard (bytes) {
    this._stream._connection._counts.discard(1, this._dropEarly() + bytes)
    this.state = DROPPING
    warnOnce('MUX_STREAM_DISCARDED')
  }

  // @returns {number} the bytes dropped
  _dropEarly () {
    const bytes = this.earlyBytes
    this.early = null
    return bytes
  }

  /** Nothing is read any more, and what waited for a reader waits no longer. */
  shut () {
    this.state = NO_READS
    this.early = null
    this.releaseAll()
    this._held = null
  }

  /** As shut(), while the stream goes on: what the peer still sends is not awaited either, and 'end' follows. */
  cutOff () {
    this.noteEnd()
    clearBuffered(this._stream._readableState)
    this.shut()
    this.pushEnd()
  }

  /** Nothing is held any more. */
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

  // A large end value waits for the reader as data does: a peer could pile such values up on streams that are paused,
  // or that nobody reads. Of those that nobody has asked for the connection keeps some.
  _holdEnd (value) {
    const bytes = value.length
    const stream = this._stream
    if (this.state === UNCLAIMED && !stream._connection._budget.canKeepValue(bytes)) {
      if (stream.listenerCount('end') > 0) return value // it is about to be emitted
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

  /** If the peer said nothing to a stream of ours, nobody asked for it, and our half is done: the stream is over. */
  endIfSilent () {
    const stream = this._stream
    if (stream._writer.hasFinished && this.isSilent()) process.nextTick(endSilent, this, stream.writableFinished)
  }

  /** Whether the peer ended a half that nobody reads without having said anything. */
  isSilent () {
    return this.hasEnded && this.state === UNCLAIMED && this.isUnread() && this._stream._halves === BOTH &&
      this._stream._isOurs()
  }

  /** Whether nothing is left to be read, or to be waited for by a reader. */
  isUnread () {
    if (this.state === UNCLAIMED) return this.early === null && this._endValue === undefined
    return this.state !== CLAIMED || this._stream.readableEnded
  }

  /** Drops what was kept for a reader; 'end' follows. */
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
    // What the program, or a library of its, put in place of emit() goes on to be called.
    if (stream.emit !== emitEnd) {
      if (Object.hasOwn(stream, 'emit')) this._programsEmit = stream.emit
      stream.emit = emitEnd
    }
    stream.push(null)
    // Nobody reads what was dropped, yet those who wait for the end are to see it.
    if (this.state === DROPPING && stream.readableFlowing === null) Duplex.prototype.resume.call(stream)
  }

  // ---- called by programs and by Node ----

  /** The program adds a listener. */
  notice (event, listener) {
    if (this.state === UNCLAIMED) this._interest(event)
    if (event === 'data' || event === 'end' || event === 'readable') this._facts |= HEEDED
    if (event === 'data' && listener?.name === 'ondata') notePipe(this._stream) // as Node's pipe() names it
  }

  _interest (event) {
    const stream = this._stream
    if (halfOpen.isServed(stream) && (event === 'end' || event === 'finish')) stream._accept()
    if (event === 'data' || event === 'readable') this.claim()
    else if (event === 'end' && this.hasEnded) setImmediate(endUnclaimed, this)
  }

  read (n) {
    const stream = this._stream
    // read(0) is Node's own look at the buffer.
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

  // Node joins what is buffered into one string; messages stay apart here.
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

  /** The program wants what comes, and what came. */
  claim () {
    const stream = this._stream
    keep(stream)
    this.state = CLAIMED
    stream._accept()
    if (this.early !== null) {
      const { entries } = this.early
      this.early = null
      const hasCredit = stream._halves === BOTH
      // With credit it is held since it came, until the stream closed.
      const isReleased = hasCredit && stream._isDone()
      for (let i = 0; i < entries.length; i += 3) this._buffer(entries[i], isReleased ? 0 : entries[i + 2], hasCredit)
    }
    if (this.hasEnded) this.pushEnd()
  }

  // The event carries the end value, if there is one. A listener of it that throws must not keep the stream from being
  // closed.
  _emitEnd () {
    const stream = this._stream
    const emit = this._emit
    this._facts |= END_EMITTED
    const value = this._endValue
    this._endValue = undefined
    if (this._held !== null) this._held.releaseEnd()
    // A program may have put one of its own before this one meanwhile.
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

  // What Node does behind push(null) takes a stream that nobody listens to as long as the rest of its life.
  _endSilent (hasFinished) {
    const stream = this._stream
    if (!this.isSilent() || stream.destroyed) return
    // Behind what listeners of 'finish' have ticks do.
    if (!hasFinished) return process.nextTick(endSilent, this, true)
    if (stream.listenerCount('end') > 0) return this.drop()
    this.state = DROPPING
    const state = stream._readableState
    state.ended = state.endEmitted = true
    // Else Node destroys it behind 'finish'.
    if (stream.writableFinished) context.run(stream._context, stream.destroy, stream)
  }

  // The end came to a stream whose data nobody asked for.
  _endUnclaimed () {
    const stream = this._stream
    if (this.state !== UNCLAIMED || stream.destroyed) return
    const isHeard = stream.listenerCount('end') > 0
    const isOurs = stream._isOurs()
    if (stream._halves === BOTH) {
      if (isOurs && !isHeard) this.endIfSilent()
      // What was said on a stream of ours is an answer: it waits for who asked.
      if (isOurs && this.early !== null) return
      // Who writes without reading ends the stream when it is done: the peer's end is no reason to cut it off.
      if (isOurs) stream.allowHalfOpen = true
    }
    if (isHeard) this.drop()
    else if (!isOurs && stream._halves === BOTH) halfOpen.peerEndSeen(stream)
  }
}

// Stands in for the stream's `emit` from the peer's end on, until Node emits 'end'.
function emitEnd (event, ...rest) {
  const reader = this._reader
  if (event === 'end' && (reader._facts & END_EMITTED) === 0) return reader._emitEnd()
  return Reflect.apply(reader._emit, this, [event, ...rest])
}

function endSilent (reader, hasFinished) { reader._endSilent(hasFinished) }

function endUnclaimed (reader) { reader._endUnclaimed() }

module.exports = { Reader }
