'use strict'

// The number of bytes of a connection that the kernel has not taken yet, and the writing halves that wait until they
// are few.
//
// This file may not: hold bytes, send commands, or emit anything itself.

const engine = require('./engine')

class SendQueue {
  constructor (connection, highWater) {
    this._connection = connection
    this.bytes = 0 // as of the last flush or record, and what was added since
    this.highWater = highWater
    this.lowWater = Math.floor(highWater / 2)
    this._watcher = null
    this._waiting = [] // writing halves that owe a 'drain'
    this._blocks = 0 // how many BLOCKED records were received
  }

  get isFull () { return this.bytes >= this.highWater }

  get isLow () { return this.bytes <= this.lowWater }

  /** Counts bytes that are about to be queued. @returns {boolean} false if the writer is to wait for 'drain' */
  add (bytes) {
    this.bytes += bytes
    if (this._watcher !== null) this._watcher.keepUntilSent()
    return this.bytes < this.highWater
  }

  /** Sets the Reference that is called for everything that is queued; null for none. */
  watch (watcher) { this._watcher = watcher }

  /** Adds a writing half that is called when the queue has drained. */
  enlist (writer) { this._waiting.push(writer) }

  /** A flush returned how many bytes are queued. */
  onFlushed (bytes) {
    this.bytes = bytes
    if (this._waiting.length > 0 && this.isLow) engine.drainSoon(this._connection)
  }

  /** Native code reported that little was queued. More may have been written, and sent, since then. */
  onDrain () {
    engine.flush()
    this.bytes = engine.native.queuedBytes(this._connection._link.number)
    this.tellDrained()
  }

  /** Calls the writers that wait, unless others that were called first have filled the queue again. */
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

  /** Whether a BLOCKED record is still under way: bytes that left the queue then wait on that stream for its reader. */
  isAboutToBlock () {
    const { _link: link, _wires: wires } = this._connection
    return link.isOpen && wires.sendsQmux && engine.native.blockedEvents(link.number) !== this._blocks
  }

  /** A BLOCKED record has come. */
  onBlocked () {
    this._blocks = this._blocks + 1 >>> 0
    if (this._waiting.length > 0) engine.drainSoon(this._connection)
  }

  /** The number of bytes that wait on a stream for the peer's reader. */
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
