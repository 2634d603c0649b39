'use strict'

// The entries of one connection's streams by handle, and the number of streams that live.
//
// A handle is twice the slot, plus one if the peer opened the stream. This end chooses the slots of its own streams:
// the slot that was freed last, or else a new one. Native code chooses the slots of the peer's streams. A slot of ours
// is free again when native code says CLOSED; a slot of the peer's, when this end answers CLOSED with FORGET.
//
// This file may not: send commands, emit events, or enforce the limit.

const { REMOTE } = require('./boundary')

class StreamTable {
  constructor () {
    this.local = []
    this.remote = []
    this.free = []
    // Streams that this end opened, until the program ends or destroys them, and opens under way.
    this.localLive = 0
    // Streams of the peer's that the program has, until they have ended.
    this.remoteLive = 0
  }

  get live () { return this.localLive + this.remoteLive }

  at (handle) { return this._side(handle)[handle >>> 1] }

  _side (handle) { return (handle & REMOTE) === 0 ? this.local : this.remote }

  /** @returns {number} the handle of a new stream of ours */
  take (entry) {
    const slot = this.free.length > 0 ? this.free.pop() : this.local.length
    this.local[slot] = entry
    this.localLive++
    return slot << 1
  }

  set (handle, entry) {
    this.replace(handle, entry)
    if ((handle & REMOTE) !== 0) this.remoteLive++
  }

  /** Puts another entry in place of the present one. */
  replace (handle, entry) {
    this._side(handle)[handle >>> 1] = entry
  }

  /** Frees the handle. @returns the entry behind it */
  remove (handle) {
    const slot = handle >>> 1
    const own = (handle & REMOTE) === 0
    const table = this._side(handle)
    const entry = table[slot]
    table[slot] = undefined
    if (own && entry !== undefined) this.free.push(slot)
    return entry
  }

  /** Counts one live stream less. */
  countDown (handle) {
    if ((handle & REMOTE) === 0) this.localLive--
    else this.remoteLive--
  }

  /** All entries, as an array of their own: the caller may change the table meanwhile. */
  entries () {
    return [...this.local, ...this.remote].filter((entry) => entry !== undefined)
  }
}

module.exports = { StreamTable }
