'use strict'

// The pings of one connection: pings that were sent, and pings that wait until it is known whether the wire has pings.
//
// This file may not: send anything, or decide when a ping may go.

class Pings {
  constructor () {
    this._next = 0
    this._sent = new Map() // number: [resolve, reject]
    this._waiting = [] // [resolve, reject], before the wire is known
  }

  /** @returns {Promise<number>} the round trip in ms. If the ping may go now, `send` is called with its number. */
  add (send) {
    return new Promise((resolve, reject) => {
      if (send === undefined) this._waiting.push([resolve, reject])
      else this._send(send, [resolve, reject])
    })
  }

  _send (send, waiter) {
    const number = this._next
    this._next = number + 1 >>> 0 // the boundary has 32 bits for the number
    this._sent.set(number, waiter)
    send(number)
  }

  /** Sends the pings that waited. */
  go (send) {
    for (const waiter of this._waiting.splice(0)) this._send(send, waiter)
  }

  /** Fails the pings that waited, because they can never be sent. */
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
