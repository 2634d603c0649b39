'use strict'

// The streams of one connection by handle, and how many of them live.
//
// A handle is the slot twice, plus one where the peer opened the stream. We choose the slots of our own streams
// (lowest free, last freed first); the peer's come from native code. A slot of ours is free again when native code
// says CLOSED, one of the peer's when we answered that with FORGET.
//
// This file may not: send commands, emit events, or enforce the limit.

const { REMOTE } = require('./boundary')

class StreamTable {
  constructor () {
    this.local = []
    this.remote = []
    this.free = []
    // Ours, on which the program has not called end or destroy, opens under way included.
    this.localLive = 0
    // The peer's, given to the program and not ended.
    this.remoteLive = 0
  }

  get live () { return this.localLive + this.remoteLive }

  at (handle) { return this._side(handle)[handle >>> 1] }

  _side (handle) { return (handle & REMOTE) === 0 ? this.local : this.remote }

  /** @returns {number} the handle of a new stream of ours. */
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

  /** Puts another entry in the place of one. */
  replace (handle, entry) {
    this._side(handle)[handle >>> 1] = entry
  }

  /** Frees the handle. @returns what was behind it. */
  remove (handle) {
    const slot = handle >>> 1
    const own = (handle & REMOTE) === 0
    const table = this._side(handle)
    const entry = table[slot]
    table[slot] = undefined
    if (own && entry !== undefined) this.free.push(slot)
    return entry
  }

  /** One live stream less. */
  countDown (handle) {
    if ((handle & REMOTE) === 0) this.localLive--
    else this.remoteLive--
  }

  /** All entries; the caller may change the table while it walks them. */
  entries () {
    return [...this.local, ...this.remote].filter((entry) => entry !== undefined)
  }
}

module.exports = { StreamTable }
