'use strict'

// How many bytes of a connection the kernel has not taken yet, and the writing halves that wait until they are few.
//
// This file may not: hold bytes, send commands, or emit anything itself.

const engine = require('./engine')

class SendQueue {
  constructor (connection, highWater) {
    this._connection = connection
    this.bytes = 0 // as far as known
    this.highWater = highWater
    this.lowWater = Math.floor(highWater / 2)
    this._waiting = [] // writing halves that owe a 'drain'
    this._blocks = 0 // how often a stream was told that it is blocked
  }

  get isFull () { return this.bytes >= this.highWater }

  get isLow () { return this.bytes <= this.lowWater }

  /** So many bytes are about to be queued. @returns {boolean} false tells a writer to wait for 'drain' */
  add (bytes) {
    this.bytes += bytes
    return this.bytes < this.highWater
  }

  /** A writing half is told when the queue has drained. */
  enlist (writer) { this._waiting.push(writer) }

  /** A flush returned how much is queued. */
  onFlushed (bytes) {
    this.bytes = bytes
    if (this._waiting.length > 0 && this.isLow) engine.drainSoon(this._connection)
  }

  /** Native code says that little is queued. More may have been written, and sent, since. */
  onDrain () {
    engine.flush()
    this.bytes = engine.native.queuedBytes(this._connection._link.number)
    this.tellDrained()
  }

  /** Tells those who wait. The first of them may have filled the queue again; then they are told when that has drained. */
  tellDrained () {
    if (this._waiting.length > 0 && this.isLow && !this.isAboutToBlock()) this._tellAll()
  }

  _tellAll () {
    const waiting = this._waiting
    this._waiting = []
    let i = 0
    try {
      while (i < waiting.length) waiting[i++].onDrained()
    } finally {
      if (i < waiting.length) {
        this._waiting = waiting.slice(i).concat(this._waiting)
        engine.drainSoon(this._connection)
      }
    }
  }

  /** Whether a stream that waits for its reader is yet to be told so: what has left the queue then waits there. */
  isAboutToBlock () {
    const { _link: link, _wires: wires } = this._connection
    return link.isOpen && wires.sendsQmux && engine.native.blockedEvents(link.number) !== this._blocks
  }

  /** A stream was told that it is blocked. */
  onBlocked () {
    this._blocks = this._blocks + 1 >>> 0
    if (this._waiting.length > 0) engine.drainSoon(this._connection)
  }

  /** Bytes that wait on a stream for the peer's reader. */
  bytesOf (handle) {
    const link = this._connection._link
    return link.isOpen ? engine.native.waitingBytes(link.number, handle) : 0
  }

  /** Nothing is sent any more. */
  clear () {
    this._waiting = []
    this.bytes = 0
  }
}

module.exports = { SendQueue }
