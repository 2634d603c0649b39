'use strict'

// One stream, as a Duplex whose hot paths do not pass through Node's buffers.
//
// This file may not: choose handles, count streams against the limit, or keep a connection open. Bytes that came in
// belong to the application; bytes that go out are copied before a call returns.

const { Duplex } = require('node:stream')
const context = require('./context')
const { Charges, Early, Pages, PARSED, PER_CHUNK, warnOfDiscard } = require('./early')
const engine = require('./engine')
const { callerError } = require('./errors')
const { decodeBuffered, flowOn, isHeard } = require('./node-buffer')
const { boundedJson, sendable } = require('./values')

// Taken out once: looking them up in the module for each message is a tenth of the time.
const { cut, data: sendData, op } = engine

// The writing half.
const NO_WRITES = 0 // the peer created the stream
const WRITING = 1
const ENDED = 2

// The reading half.
const UNCLAIMED = 0 // nobody has shown interest yet: data is kept for a while
const CLAIMED = 1
const DROPPING = 2 // too much came while it was unclaimed: only the end is still awaited
const NO_READS = 3 // we created the stream, or it is destroyed

// Node's own high water mark stops nobody: how much may wait is bounded by the connection. It is not 0, because Node
// then never looks again at a buffer whose flow was broken off.
const ACCEPTED = { readableObjectMode: true, writable: false, emitClose: true }
const CREATED = { readableObjectMode: true, readable: false, emitClose: true }
const CREATED_BYTES = { ...CREATED, readableObjectMode: false }

// An end value from this size on counts as held until it was emitted.
const LARGE_VALUE = 4096
const EMPTY = Buffer.alloc(0)

class MuxStream extends Duplex {
  constructor (connection, handle, id, meta, asyncContext, remote, messages) {
    super(remote ? ACCEPTED : messages ? CREATED : CREATED_BYTES)
    this.id = id
    this.meta = meta
    this._connection = connection
    this._number = handle
    this._context = asyncContext
    this._out = remote ? NO_WRITES : WRITING
    this._in = remote ? UNCLAIMED : NO_READS
    this._pending = false
    this._counted = true // against the connection's limit
    this._acked = !remote
    this._peerEnded = false
    this._finished = false // the kernel took our end
    this._quiet = false // destroyed by its connection: no 'error' unless somebody listens
    this._needsDrain = false
    this._encoding = undefined // set by setDefaultEncoding
    this._emitted = false
    this._early = null // what came while unclaimed
    this._charges = null // of the chunks in Node's buffer
    this._pages = null // where small chunks in Node's buffer are kept
    this._held = 0 // their sum, as native code knows it
    this._endValue = undefined
    this._endHeld = 0 // bytes of it, as native code knows them
  }

  // Both say true while the stream lives, also for the half it does not have: version 0.1.0 did.
  get readable () {
    return this._out === NO_WRITES ? super.readable : !this.destroyed && !this.writableFinished
  }

  set readable (value) { super.readable = value }

  get writable () {
    return this._out === NO_WRITES ? !this.destroyed && !this.readableEnded : super.writable
  }

  set writable (value) { super.writable = value }

  get writableHighWaterMark () { return this._connection._highWater }

  /** Bytes that wait on the whole connection: streams of one connection share its queue. */
  get writableLength () { return this._out === WRITING ? this._connection._queued : 0 }

  get writableNeedDrain () { return this._needsDrain && this._out === WRITING }

  // ---- out ----

  write (chunk, encoding, done) {
    const connection = this._connection
    if (this._out === WRITING && encoding === undefined && done === undefined &&
        chunk instanceof Uint8Array && !connection._ended) {
      sendData(connection._number, this._number, chunk)
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
    // Node knows what a write after the end is; the bytes do not matter.
    if (this._out === ENDED) return super.write(EMPTY, done && context.bind(done))
    const connection = this._connection
    if (connection._ended) return this._cutOff(done)
    const going = connection._count(this._encode(value)) || this._full()
    if (done !== undefined) connection._mark(context.bind(done))
    return going
  }

  _encode (value) {
    const number = this._connection._number
    if (value instanceof Uint8Array) {
      sendData(number, this._number, value)
      return value.length
    }
    return engine.string(number, this._number, value.text, value.encoding)
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
    if (!this._needsDrain) {
      this._needsDrain = true
      this._connection._waiting.push(this)
    }
    return false
  }

  _emitDrain () {
    this._needsDrain = false
    if (this._out === WRITING) context.emit(this._context, this, 'drain')
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
    if (this._out === WRITING) {
      if (!this._connection._ended) this._sendEnd(value, encoding)
    } else if (value !== undefined && value !== null) {
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

  _sendEnd (value, encoding) {
    const connection = this._connection
    let queued = 0
    let json
    if (value !== undefined && value !== null) {
      const bytes = ArrayBuffer.isView(value) || (typeof value === 'string' && (encoding || this._encoding))
      if (bytes) queued = this._encode(sendable(value, encoding || this._encoding))
      else json = boundedJson(value, 'This end value')
    }
    if (json === undefined) engine.put(op.END, connection._number, this._number, 0)
    else queued = engine.text(op.END_VALUE, connection._number, this._number, json)
    this._out = ENDED
    this._uncount()
    connection._count(queued)
  }

  // The end is on its way; 'finish' comes when the kernel has it.
  _final (done) {
    if (!this._connection._canSend()) {
      this._quiet = true // a peer that half-closes brings this about
      return done(callerError('ERR_MUX_CONNECTION_CLOSED'))
    }
    this._connection._mark((error) => {
      if (error) this._quiet = true // the connection's failure, not this stream's
      else this._finished = true
      context.run(this._context, done, undefined, error)
    })
  }

  // Only reached by those who call it themselves: write() does not pass through Node's queue.
  _write (chunk, encoding, done) {
    this.write(chunk, encoding === 'buffer' ? undefined : encoding, done)
  }

  // ---- in, called by the engine ----

  _data (offset, length) {
    if (this._in === CLAIMED) {
      const state = this._readableState
      if (state.flowing === true && state.length === 0) this._deliver(state, cut(offset, length))
      else this._buffer(cut(offset, length), length + PER_CHUNK)
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
      else this._buffer(value, charge)
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

  // Nobody takes it now: into Node's buffer, and native code learns that it is not consumed.
  _buffer (chunk, charge) {
    const state = this._readableState
    let encoding
    if (state.decoder !== null) {
      if (ArrayBuffer.isView(chunk)) {
        const text = state.decoder.write(chunk)
        if (text === '' && chunk.length > 0) return
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
    this._held += charge
    this._charges.push(charge)
    this._connection._command(op.HOLD, this._number, charge)
    context.run(this._context, this.push, this, chunk, encoding)
  }

  _keep (chunk, length, charge) {
    if (this._early === null) this._early = new Early(this._connection._settings.unclaimedLimit)
    if (this._early.add(chunk, length, charge)) return
    this._connection._discarded(1, this._dropEarly() + length)
    this._in = DROPPING
    warnOfDiscard()
  }

  // @returns {number} the bytes dropped
  _dropEarly () {
    const early = this._early
    this._early = null
    return early === null ? 0 : early.bytes
  }

  _onEnd (value) {
    this._peerEnded = true
    this._uncount()
    this._endValue = value
    if (this._in === NO_READS) return
    if (this._in === UNCLAIMED) {
      if (this.listenerCount('end') > 0) setImmediate(endUnclaimed, this)
      return
    }
    if (value !== undefined && value.length >= LARGE_VALUE) {
      // It waits for the reader as data does: a peer could pile such values up on streams that are paused.
      this._endHeld = value.length
      this._connection._command(op.HOLD, this._number, value.length)
    }
    context.run(this._context, this._pushEnd, this)
  }

  _releaseEnd () {
    if (this._endHeld > 0) this._connection._command(op.RELEASE, this._number, this._endHeld)
    this._endHeld = 0
  }

  _pushEnd () {
    this.emit = emitEnd
    this.push(null)
    // Nobody reads what was dropped, yet those who wait for the end are to see it.
    if (this._in === DROPPING && this.readableFlowing === null) super.resume()
  }

  /** The peer's end came, or our end was acknowledged: the handle is free. */
  _onClosed () {
    this._uncount()
  }

  /** The 'stream' event is over. `heard`: somebody listened to it. */
  _onAccepted (heard) {
    this._acked = true
    if (this._in === NO_READS) this._connection._command(op.DISCARD, this._number, 0)
    if (heard || this._in !== UNCLAIMED) return
    // Nobody was told of it, so nobody will ever read it.
    this._connection._discarded(1, this._dropEarly())
    this._in = DROPPING
    this._uncount()
  }

  _connectionClosed (reason) {
    if (this.destroyed || this._finished) return
    // The peer ended it in order: its reader may take its time.
    if (this._peerEnded && this._out === NO_WRITES) return
    this._quiet = true
    context.run(this._context, this.destroy, this, reason)
  }

  _uncount () {
    if (!this._counted) return
    this._counted = false
    this._connection._countDown(this._number)
  }

  // ---- in, called by programs and by Node ----

  on (event, listener) {
    if (this._in === UNCLAIMED) this._interest(event)
    return super.on(event, listener)
  }

  addListener (event, listener) {
    if (this._in === UNCLAIMED) this._interest(event)
    return super.on(event, listener)
  }

  read (n) {
    // read(0) is Node's own look at the buffer.
    if (this._in === UNCLAIMED && n !== 0) this._claim()
    if (this._readableState.length === 0) return super.read(n)
    let thrown = true
    try {
      const chunk = super.read(n)
      thrown = false
      return chunk
    } finally {
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

  _read () {} // data comes when it comes

  _interest (event) {
    if (event === 'data' || event === 'readable') this._claim()
    else if (event === 'end' && this._peerEnded) setImmediate(endUnclaimed, this)
  }

  _claim () {
    this._in = CLAIMED
    const early = this._early
    if (early !== null) {
      this._early = null
      const { entries } = early
      for (let i = 0; i < entries.length; i += 3) this._buffer(entries[i], entries[i + 2])
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
  }

  _consume (bytes) {
    if (bytes === 0) return
    this._held -= bytes
    this._connection._command(op.RELEASE, this._number, bytes)
  }

  // ---- the end of it ----

  _destroy (error, done) {
    const connection = this._connection
    if (this._out === WRITING) {
      // The legacy wire has no reset: an end is all that can be said.
      if (connection._canSend()) engine.put(op.END, connection._number, this._number, 0)
      this._out = ENDED
      this._uncount()
    } else if (this._out === NO_WRITES && this._in !== NO_READS && !this._peerEnded && this._acked) {
      connection._command(op.DISCARD, this._number, 0)
    }
    this._in = NO_READS
    this._dropEarly()
    this._consume(this._held)
    this._releaseEnd()
    this._charges = this._pages = null
    done(this._quiet && !isHeard(this) ? null : error)
  }
}

// Stands in for `emit` from the peer's end on, until Node emits 'end': that event carries the end value, if there is
// one, and a listener of it that throws must not keep the stream from being closed.
function emitEnd (event, ...rest) {
  if (event !== 'end') return MuxStream.prototype.emit.call(this, event, ...rest)
  const value = this._endValue
  this._endValue = undefined
  this._releaseEnd()
  delete this.emit
  let thrown = true
  try {
    const heard = value === undefined ? this.emit(event) : this.emit(event, value)
    thrown = false
    return heard
  } finally {
    if (thrown) this.destroy()
  }
}

// The end came to a stream whose data nobody asked for, though somebody waits for its end.
function endUnclaimed (stream) {
  if (stream._in !== UNCLAIMED || stream.listenerCount('end') === 0) return
  const dropped = stream._dropEarly()
  if (dropped > 0) stream._connection._discarded(1, dropped)
  stream._in = DROPPING
  context.run(stream._context, stream._pushEnd, stream)
}

module.exports = { MuxStream }
