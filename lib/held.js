'use strict'

// What native code is told that a stream holds: chunks that nobody has read yet, and a large end value. Held bytes give
// the peer no credit; on the legacy wire they stop the socket.
//
// This file may not: know who reads, or when something is read.

const { op } = require('./boundary')
const { Charges, Pages } = require('./early')

class Held {
  constructor (stream) {
    this._stream = stream
    this._chunkBytes = 0
    this._endBytes = 0 // of a large end value
    this._charges = null // of the chunks in Node's buffer
    this._pages = null // where small chunks in Node's buffer are kept
  }

  get bytes () { return this._chunkBytes + this._endBytes }

  get endBytes () { return this._endBytes }

  /** A chunk is not consumed. */
  hold (charge) {
    this._chunkBytes += charge
    this._tell(op.HOLD, charge)
  }

  /** What was charged with so much is consumed. */
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

  /** Chunks left Node's buffer at its front: what they were charged with is consumed. */
  releaseRead (state) {
    const charges = this._charges
    if (charges === null) return
    if (state.length === 0) this.release(charges.dropTo(0))
    else if (state.objectMode) this.release(charges.dropTo(state.length))
    else if (state.decoder === null) this.release(charges.dropToBytes(state.length))
  }

  /** Those at these places of Node's buffer, in ascending order, left it. It has so many in all. */
  releaseAt (places, length) {
    if (this._charges === null) return
    const ahead = length - this._charges.length // put there by unshift()
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
