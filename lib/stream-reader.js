'use strict'

// The reading half of a stream: what the engine delivers, past Node's buffer where it can be, and what programs ask.
//
// This file may not: send anything but what tells native code what is held, or know how a stream ends.

const { Duplex } = require('node:stream')
const context = require('./context')
const { Charges, Early, Pages, PARSED, PER_CHUNK } = require('./early')
const engine = require('./engine')
const halfOpen = require('./half-open')
const { decodeBuffered, flowOn } = require('./node-buffer')
const { BOTH, UNCLAIMED, CLAIMED, DROPPING, NO_READS, noStream } = require('./stream-state')
const { keep } = require('./unreachable')
const { warnOnce } = require('./warnings')

const { CLOSED, END_EMITTED, HEEDED, WEAK } = halfOpen

// Taken out once: looking them up in the module for each message is a tenth of the time.
const { cut, op } = engine

// An end value from this size on counts as held until it was emitted.
const LARGE_VALUE = 4096

/** The fields are those of MuxStream, which sets them all. */
class Reader extends Duplex {
  // ---- called by the engine ----

  _data (offset, length) {
    if (this._in === CLAIMED) {
      const state = this._readableState
      if (state.flowing === true && state.length === 0) this._deliver(state, cut(offset, length))
      else this._buffer(cut(offset, length), length + PER_CHUNK, false)
    } else if (this._in === UNCLAIMED) {
      this._keep(cut(offset, length), length, length + PER_CHUNK)
    } else if (this._in === DROPPING) {
      this._connection._discarded(0, length)
    }
  }

  /** Whether a value of type 1 is wanted: what nobody will see need not be parsed. */
  _wantsValue (length) {
    if (this._in === DROPPING) this._connection._discarded(0, length)
    return this._in === CLAIMED || this._in === UNCLAIMED
  }

  // Data of type 1: a parsed value. No version we know of sends it.
  _onValue (value, length) {
    const charge = length * PARSED + PER_CHUNK
    if (this._in === CLAIMED) {
      const state = this._readableState
      if (state.flowing === true && state.length === 0) this._emitData(state, value)
      else this._buffer(value, charge, false)
    } else if (this._in === UNCLAIMED) {
      this._keep(value, length, charge)
    }
  }

  _deliver (state, chunk) {
    if (state.decoder !== null) {
      const text = state.decoder.write(chunk)
      // Part of a character: it comes with the next chunk.
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
    if (!this._emitted) {
      this._emitted = true
      state.dataEmitted = true
    }
    if (this._context === null) this.emit('data', chunk)
    else this._context.runInAsyncScope(this.emit, this, 'data', chunk)
  }

  // Nobody takes it now: into Node's buffer, and native code learns that it is not consumed, unless it knows already.
  _buffer (chunk, charge, isHeld) {
    const state = this._readableState
    let encoding
    if (state.decoder !== null) {
      if (ArrayBuffer.isView(chunk)) {
        const text = state.decoder.write(chunk)
        if (text === '' && chunk.length > 0) {
          if (isHeld) this._consume(charge)
          return
        }
        chunk = text
      }
      encoding = state.encoding // already decoded
    }
    // A null would be the end of the stream to Node: JSON data `null` waits as its text.
    if (chunk === null) chunk = Buffer.from('null')
    if (this._charges === null) {
      this._charges = new Charges()
      this._pages = new Pages()
    }
    if (ArrayBuffer.isView(chunk)) chunk = this._pages.keep(chunk, chunk.byteLength)
    this._charges.push(charge)
    if (!isHeld) this._hold(charge)
    context.run(this._context, this.push, this, chunk, encoding)
  }

  _hold (charge) {
    this._held += charge
    this._connection._command(op.HOLD, this._nativeHandle, charge)
  }

  // Nobody has asked for it yet. With credit the sender is stopped by what is held; without it there is a limit.
  _keep (chunk, length, charge) {
    const hasCredit = this._halves === BOTH
    if (this._early === null) {
      this._early = new Early(hasCredit ? Infinity : this._connection._settings.unclaimedLimit)
    }
    if (this._early.add(chunk, length, charge)) {
      if (hasCredit) this._hold(charge)
      return
    }
    this._discard(length)
  }

  // What was kept, and so many bytes more, are dropped, and so is what follows.
  _discard (bytes) {
    this._connection._discarded(1, this._dropEarly() + bytes)
    this._in = DROPPING
    warnOnce('MUX_STREAM_DISCARDED')
  }

  // @returns {number} the bytes dropped
  _dropEarly () {
    const early = this._early
    this._early = null
    return early === null ? 0 : early.bytes
  }

  // ---- the peer's end ----

  _onEnd (value) {
    if (this._peerEnded) return
    this._peerEnded = true
    if ((this._nativeHandle & 1) === 1) this._uncount()
    if (this._in === NO_READS) return
    if (value !== undefined && value.length >= LARGE_VALUE) value = this._holdEnd(value)
    this._endValue = value
    if (this._in === UNCLAIMED) this._endsUnclaimed()
    else context.run(this._context, this._pushEnd, this)
  }

  // A large end value waits for the reader as data does: a peer could pile such values up on streams that are paused, or
  // that nobody reads. Of those that nobody has asked for the connection keeps some.
  _holdEnd (value) {
    const bytes = value.length
    if (this._in === UNCLAIMED && !this._connection._keepsValue(bytes)) {
      if (this.listenerCount('end') > 0) return value // it is about to be emitted
      this._discard(bytes)
      return undefined
    }
    this._endHeld = bytes
    this._connection._valuesHeld += bytes
    this._connection._command(op.HOLD, this._nativeHandle, bytes)
    return value
  }

  _endsUnclaimed () {
    const isAwaited = this.listenerCount('end') > 0
    if ((this._halves === BOTH && (this._nativeHandle & 1) === 1) || isAwaited) setImmediate(endUnclaimed, this)
    else if (this._halves === BOTH) this._endUnread()
  }

  /** Nobody asked what the peer might say to a stream of ours; it said nothing, and our half is done: it is over. */
  _endUnread () {
    if (this._finished && this._isSilent()) process.nextTick(endSilent, this, this.writableFinished)
  }

  /** Whether the peer ended a half that nobody reads without having said anything. */
  _isSilent () {
    return this._peerEnded && this._in === UNCLAIMED && this._early === null && this._endValue === undefined &&
      this._halves === BOTH && (this._nativeHandle & 1) === 0
  }

  /** Whether nothing is left to be read, or to be waited for by a reader. */
  _isUnread () {
    if (this._in === UNCLAIMED) return this._early === null && this._endValue === undefined
    return this._in !== CLAIMED || this.readableEnded
  }

  // Drops what was kept for a reader; 'end' follows.
  _drop () {
    const dropped = this._dropEarly()
    if (dropped > 0) this._connection._discarded(1, dropped)
    if (this._halves === BOTH) this._consume(this._held)
    this._in = DROPPING
    context.run(this._context, this._pushEnd, this)
  }

  _pushEnd () {
    // What the program, or a library of its, put in place of emit() goes on to be called.
    if (this.emit !== emitEnd) {
      if (Object.hasOwn(this, 'emit')) this._ownEmit = this.emit
      this.emit = emitEnd
    }
    this.push(null)
    // Nobody reads what was dropped, yet those who wait for the end are to see it.
    if (this._in === DROPPING && this.readableFlowing === null) super.resume()
  }

  _releaseEnd () {
    const bytes = this._endHeld
    if (bytes === 0) return
    this._endHeld = 0
    this._connection._valuesHeld -= bytes
    this._connection._command(op.RELEASE, this._nativeHandle, bytes)
    this._released()
  }

  // ---- called by programs and by Node ----

  on (event, listener) {
    if (this._in === UNCLAIMED) this._interest(event)
    if ((this._bits & (WEAK | CLOSED)) !== 0) this._listened()
    if (event === 'data' || event === 'end' || event === 'readable') this._bits |= HEEDED
    if (event === 'data' && listener?.name === 'ondata') this._pipes++ // as Node's pipe() names it
    return super.on(event, listener)
  }

  prependListener (event, listener) {
    if ((this._bits & (WEAK | CLOSED)) !== 0) this._listened()
    return super.prependListener(event, listener)
  }

  read (n) {
    // read(0) is Node's own look at the buffer.
    if (this._in === UNCLAIMED && n !== 0) this._claim()
    if (this._readableState.length === 0) return super.read(n)
    let thrown = true
    const isWithin = this._isReading
    this._isReading = true
    try {
      const chunk = super.read(n)
      thrown = false
      return chunk
    } finally {
      this._isReading = isWithin
      this._release()
      // A 'data' listener threw, which ended Node's loop over the buffer.
      if (thrown) setImmediate(flowOn, this)
    }
  }

  pause () {
    if (this._in === UNCLAIMED) this._claim()
    return super.pause()
  }

  resume () {
    if (this._in === UNCLAIMED) this._claim()
    return super.resume()
  }

  // Node joins what is buffered into one string; messages stay apart here.
  setEncoding (encoding) {
    const state = this._readableState
    if (!state.objectMode || state.length === 0) return super.setEncoding(encoding)
    const charges = this._charges || new Charges()
    const ahead = state.length - charges.length // put there by unshift()
    let consumed = 0
    for (const at of decodeBuffered(state, encoding).reverse()) {
      if (at >= ahead) consumed += charges.take(at - ahead)
    }
    this._consume(consumed)
    return this
  }

  /** Node would destroy the stream behind its end, and with it an answer that is still to be given. */
  [Symbol.asyncIterator] () {
    if (this._halves !== BOTH) return super[Symbol.asyncIterator]()
    return untilReturn(this, super.iterator({ destroyOnReturn: false }))
  }

  _read () {} // data comes when it comes

  _interest (event) {
    if (this._serving > 0 && (event === 'end' || event === 'finish')) this._accept()
    if (event === 'data' || event === 'readable') this._claim()
    else if (event === 'end' && this._peerEnded) setImmediate(endUnclaimed, this)
  }

  // Perhaps nobody waited for its end before: from here on it is to be told of it.
  _listened () {
    keep(this)
    if ((this._bits & CLOSED) !== 0 && !this.destroyed) this._connection._outlives(this)
  }

  _claim () {
    keep(this)
    this._in = CLAIMED
    this._accept()
    const early = this._early
    if (early !== null) {
      this._early = null
      const { entries } = early
      // With credit it is held since it came, until the stream closed.
      for (let i = 0; i < entries.length; i += 3) {
        this._buffer(entries[i], this._over ? 0 : entries[i + 2], this._halves === BOTH)
      }
    }
    if (this._peerEnded) this._pushEnd()
  }

  // Chunks left Node's buffer: what they were charged with is consumed.
  _release () {
    const charges = this._charges
    if (charges === null) return
    const state = this._readableState
    if (state.length === 0) this._consume(charges.dropTo(0))
    else if (state.objectMode) this._consume(charges.dropTo(state.length))
    else if (state.decoder === null) this._consume(charges.dropToBytes(state.length))
  }

  _consume (bytes) {
    if (bytes === 0) return
    this._held -= bytes
    this._connection._command(op.RELEASE, this._nativeHandle, bytes)
    this._released()
  }

  // Native code keeps a closed stream's handle until nothing of it is held.
  _released () {
    if (!this._over || this._held + this._endHeld > 0) return
    this._connection._free(this._nativeHandle)
    this._nativeHandle = noStream(this._nativeHandle)
  }
}

Reader.prototype.addListener = Reader.prototype.on

// Stands in for `emit` from the peer's end on, until Node emits 'end': that event carries the end value, if there is
// one, and a listener of it that throws must not keep the stream from being closed.
function emitEnd (event, ...rest) {
  const emit = this._ownEmit || Reader.prototype.emit
  if (event !== 'end' || (this._bits & END_EMITTED) !== 0) return Reflect.apply(emit, this, [event, ...rest])
  this._bits |= END_EMITTED
  const value = this._endValue
  this._endValue = undefined
  this._releaseEnd()
  // A program may have put one of its own before this one meanwhile.
  if (this.emit === emitEnd) {
    if (this._ownEmit === undefined) delete this.emit
    else this.emit = this._ownEmit
  }
  let thrown = true
  try {
    const heard = Reflect.apply(emit, this, value === undefined ? [event] : [event, value])
    thrown = false
    if (this._halves === BOTH) halfOpen.peerEndSeen(this)
    return heard
  } finally {
    if (thrown) this.destroy()
  }
}

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

// What Node does behind push(null) takes a stream that nobody listens to as long as the rest of its life.
function endSilent (stream, hasFinished) {
  if (!stream._isSilent() || stream.destroyed) return
  // Behind what listeners of 'finish' have ticks do.
  if (!hasFinished) return process.nextTick(endSilent, stream, true)
  if (stream.listenerCount('end') > 0) return stream._drop()
  stream._in = DROPPING
  const state = stream._readableState
  state.ended = state.endEmitted = true
  // Else Node destroys it behind 'finish'.
  if (stream.writableFinished) context.run(stream._context, stream.destroy, stream)
}

// The end came to a stream whose data nobody asked for.
function endUnclaimed (stream) {
  if (stream._in !== UNCLAIMED || stream.destroyed) return
  const isHeard = stream.listenerCount('end') > 0
  const isOurs = (stream._nativeHandle & 1) === 0
  if (stream._halves === BOTH) {
    if (isOurs && !isHeard) stream._endUnread()
    // What was said on a stream of ours is an answer: it waits for who asked.
    if (isOurs && stream._early !== null) return
    // Who writes without reading ends the stream when it is done: the peer's end is no reason to cut it off.
    if (isOurs) stream.allowHalfOpen = true
  }
  if (isHeard) stream._drop()
  else if (!isOurs && stream._halves === BOTH) halfOpen.peerEndSeen(stream)
}

module.exports = { Reader }
