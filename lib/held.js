'use strict'

// The bytes that a stream holds, as native code is told: chunks that nobody has read yet, and a large end value. Held
// bytes give the peer no credit. On the legacy wire, held bytes stop the reading of the socket.
//
// This file may not: know who reads a stream, or when.

const { op } = require('./boundary')
const { Charges, Pages } = require('./early')

class Held {
  constructor (stream) {
    this._stream = stream
    this._chunkBytes = 0
    this._endBytes = 0 // the length of a large end value
    this._charges = null // the charges of the chunks in Node's buffer
    this._pages = null // memory for small chunks in Node's buffer
  }

  get bytes () { return this._chunkBytes + this._endBytes }

  get endBytes () { return this._endBytes }

  /** A chunk waits for its reader. */
  hold (charge) {
    this._chunkBytes += charge
    this._tell(op.HOLD, charge)
  }

  /** Chunks with this charge are consumed. */
  release (charge) {
    if (charge === 0) return
    this._chunkBytes -= charge
    this._tell(op.RELEASE, charge)
    this._stream._onReleased()
  }

  /** A large end value waits for its reader. */
  holdEnd (bytes) {
    this._endBytes = bytes
    this._stream._connection._budget.keepValue(bytes)
    this._tell(op.HOLD, bytes)
  }

  releaseEnd () {
    const bytes = this._endBytes
    if (bytes === 0) return
    this._endBytes = 0
    this._stream._connection._budget.dropValue(bytes)
    this._tell(op.RELEASE, bytes)
    this._stream._onReleased()
  }

  releaseChunks () { this.release(this._chunkBytes) }

  releaseAll () {
    this.releaseChunks()
    this.releaseEnd()
  }

  /** A chunk goes into Node's buffer. @returns {*} the chunk to put there in its place */
  enter (chunk, charge) {
    if (this._charges === null) {
      this._charges = new Charges()
      this._pages = new Pages()
    }
    this._charges.push(charge)
    return ArrayBuffer.isView(chunk) ? this._pages.keep(chunk, chunk.byteLength) : chunk
  }

  /** Chunks left Node's buffer at its front: they are consumed. */
  releaseRead (state) {
    const charges = this._charges
    if (charges === null) return
    if (state.length === 0) this.release(charges.dropTo(0))
    else if (state.objectMode) this.release(charges.dropTo(state.length))
    else if (state.decoder === null) this.release(charges.dropToBytes(state.length))
  }

  /** The chunks at these places, in ascending order, left Node's buffer, which had `length` chunks. */
  releaseAt (places, length) {
    if (this._charges === null) return
    const ahead = length - this._charges.length // chunks that unshift() put there
    let consumed = 0
    for (const place of places.reverse()) {
      if (place >= ahead) consumed += this._charges.take(place - ahead)
    }
    this.release(consumed)
  }

  _tell (code, bytes) {
    const stream = this._stream
    stream._connection._link.command(code, stream._nativeHandle, bytes)
  }
}

module.exports = { Held }
