'use strict'

// Callbacks that wait for the kernel to take what was queued before them. Those of different streams may come back in
// any order.
//
// This file may not: send commands or know why somebody waits.

// Below this a shift of the array costs less than keeping count of its dead head.
const COMPACT_AT = 256

class Marks {
  constructor () {
    this._entries = [] // callbacks by number; undefined once called
    this._head = 0 // before it none waits
    this._first = 0 // the number of the first entry
    this._next = 0
    // Those that others overtook by far, by number: one stream that stands still must not keep the places of all that
    // were called after it.
    this._late = null
  }

  /** @returns {number} the number by which `done` will be called. */
  add (done) {
    const number = this._next
    this._next = number + 1 >>> 0 // 32 bits on the boundary
    this._entries.push(done)
    return number
  }

  /** Calls the one with this number, once. */
  reach (number) {
    const entries = this._entries
    const at = number - this._first >>> 0
    let done
    if (at < entries.length) {
      done = entries[at]
      entries[at] = undefined
      this._shift(at)
    } else if (this._late !== null) {
      done = this._late.get(number)
      this._late.delete(number)
    }
    if (done !== undefined) done()
  }

  _shift (reached) {
    const entries = this._entries
    let head = this._head
    while (head < entries.length && entries[head] === undefined) head++
    this._head = head
    if (head === entries.length) {
      this._first = this._next
      entries.length = 0
      this._head = 0
    } else if (head >= COMPACT_AT) {
      entries.splice(0, head)
      this._first = this._first + head >>> 0
      this._head = 0
    } else if (reached >= head + COMPACT_AT) {
      this._leaveBehind()
    }
  }

  // The oldest places, most of them of callbacks that were called, make room.
  _leaveBehind () {
    if (this._late === null) this._late = new Map()
    const old = this._entries.splice(0, COMPACT_AT)
    old.forEach((done, at) => {
      if (done !== undefined) this._late.set(this._first + at >>> 0, done)
    })
    this._first = this._first + COMPACT_AT >>> 0
    this._head = 0
  }

  /** Calls all that wait, in the next tick, with the error. */
  fail (error) {
    const waiting = this._late === null ? [] : [...this._late.values()]
    for (const done of waiting.concat(this._entries)) {
      if (done !== undefined) process.nextTick(done, error)
    }
    this._entries = []
    this._head = 0
    this._first = this._next
    this._late = null
  }
}

module.exports = { Marks }
