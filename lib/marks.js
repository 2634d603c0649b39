'use strict'

// Callbacks that wait until the kernel has taken what was queued before them. Callbacks of different streams may be
// called in any order.
//
// This file may not: send commands, or know why somebody waits.

// The array is shifted when its dead head has this many entries: shifting it for each entry would cost more.
const COMPACT_AT = 256

class Marks {
  constructor () {
    this._entries = [] // callbacks in the order of their numbers; undefined once called
    this._head = 0 // no entry before this place waits
    this._first = 0 // the number of the first entry
    this._next = 0
    // Callbacks by number that many others have overtaken. One stream that stands still must not keep the places of all
    // callbacks that were added after its own.
    this._late = null
  }

  /** @returns {number} the number by which `done` will be called. */
  add (done) {
    const number = this._next
    this._next = number + 1 >>> 0 // the boundary has 32 bits for the number
    this._entries.push(done)
    return number
  }

  /** Calls the callback with this number, once. */
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

  // Moves the callbacks that still wait at the oldest places, most of which are empty, out of the array.
  _leaveBehind () {
    if (this._late === null) this._late = new Map()
    const old = this._entries.splice(0, COMPACT_AT)
    old.forEach((done, at) => {
      if (done !== undefined) this._late.set(this._first + at >>> 0, done)
    })
    this._first = this._first + COMPACT_AT >>> 0
    this._head = 0
  }

  /** Calls all callbacks that wait, in the next tick, with the error. */
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
