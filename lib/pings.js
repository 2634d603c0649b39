'use strict'

// The pings of one connection: those that were sent, and those that wait until it is known whether they can be.
//
// This file may not: send anything, or decide when a ping may go.

class Pings {
  constructor () {
    this._next = 0
    this._sent = new Map() // number: [resolve, reject]
    this._waiting = [] // [resolve, reject], before the wire is known
  }

  /** @returns {Promise<number>} the round trip in ms. `send` is given the number, if the ping may go now. */
  add (send) {
    return new Promise((resolve, reject) => {
      if (send === undefined) this._waiting.push([resolve, reject])
      else this._send(send, [resolve, reject])
    })
  }

  _send (send, waiter) {
    const number = this._next
    this._next = number + 1 >>> 0 // 32 bits on the boundary
    this._sent.set(number, waiter)
    send(number)
  }

  /** The pings that waited go now. */
  go (send) {
    for (const waiter of this._waiting.splice(0)) this._send(send, waiter)
  }

  /** The pings that waited will never go. */
  refuse (error) {
    for (const [, reject] of this._waiting.splice(0)) reject(error)
  }

  answer (number, ms) {
    const waiter = this._sent.get(number)
    if (waiter === undefined) return
    this._sent.delete(number)
    waiter[0](ms)
  }

  fail (error) {
    this.refuse(error)
    for (const [, reject] of this._sent.values()) reject(error)
    this._sent.clear()
  }
}

module.exports = { Pings }
