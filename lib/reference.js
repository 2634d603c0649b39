'use strict'

// Whether a connection keeps the process alive: if the program wants that, and after unref() until what is queued is
// sent.
//
// This file may not: close a connection, or send anything but a mark.

const { WHOLE } = require('./boundary')
const engine = require('./engine')

class Reference {
  constructor (connection) {
    this._connection = connection
    this.isWanted = true
    this._isBusy = false // something is still to be sent
    this._isHeld = false
  }

  /** The program called ref() or unref(). */
  want (isWanted) {
    this.isWanted = isWanted
    this._connection._queue.watch(isWanted ? null : this)
  }

  update () {
    const connection = this._connection
    const isAlive = connection._link.number >= 0 && !connection._isClosed
    // A connect under way keeps the process in any case, as it does in net: libuv counts the request itself.
    const isHeld = isAlive && (this.isWanted || this._isBusy || connection.connecting)
    if (isHeld === this._isHeld) return
    this._isHeld = isHeld
    if (isHeld) engine.ref()
    else engine.unref()
  }

  keepUntilSent () {
    const link = this._connection._link
    if (this._isBusy || !link.isOpen) return
    this._isBusy = true
    this.update()
    link.mark(WHOLE, (error) => {
      this._isBusy = false
      // If more was written meanwhile, the wait goes on.
      if (!error && !this.isWanted && this._connection._queue.bytes > 0) this.keepUntilSent()
      this.update()
    })
  }

  /** Nothing is sent any more. */
  release () {
    this._isBusy = false
    this.update()
  }
}

module.exports = { Reference }
