'use strict'

// Callbacks that wait for the kernel to take what was queued before them, in the order asked for.
//
// This file may not: send commands or know why somebody waits.

// Below this a shift of the array costs less than keeping count of its dead head.
const COMPACT_AT = 256

class Marks {
  constructor () {
    this._entries = [] // number, callback, number, callback, …
    this._head = 0
    this._next = 0
  }

  /** @returns {number} the number by which `done` will be called. */
  add (done) {
    const number = this._next
    this._next = number + 1 >>> 0 // 32 bits on the boundary
    this._entries.push(number, done)
    return number
  }

  /** Calls all up to and including this number. One that throws leaves the rest for the next call. */
  reach (number) {
    for (;;) {
      const entries = this._entries
      const head = this._head
      if (head >= entries.length) return
      const reached = entries[head] === number
      const done = entries[head + 1]
      entries[head + 1] = undefined
      this._head = head + 2
      if (this._head === entries.length) {
        entries.length = 0
        this._head = 0
      } else if (this._head >= COMPACT_AT) {
        entries.splice(0, this._head)
        this._head = 0
      }
      done()
      if (reached) return
    }
  }

  /** Calls all that wait, in the next tick, with the error. */
  fail (error) {
    const entries = this._entries
    for (let i = this._head + 1; i < entries.length; i += 2) process.nextTick(entries[i], error)
    this._entries = []
    this._head = 0
  }
}

module.exports = { Marks }
