'use strict'

// setTimeout() of a connection: 'timeout' after so many milliseconds without traffic. Costs nothing where unused.
//
// This file may not: close a connection, or keep the process alive.

const context = require('./context')

// What no record and no flush tells of, a queue that drains slowly or a frame that comes in pieces, is only found by
// looking: this often within the time, so that 'timeout' is late by no more than that part of it.
const LOOKS = 4

class IdleTimer {
  constructor (connection, ms) {
    this._connection = connection
    this._ms = ms
    this._moved = connection._moved()
    this._last = performance.now() // of the last movement, as far as known
    this._timer = null
    this._arm(ms)
  }

  /** There was traffic: a batch or a flush. */
  refresh () {
    this._moved = this._connection._moved()
    this._last = performance.now()
    if (this._timer === null) this._arm(this._ms)
  }

  stop () {
    clearTimeout(this._timer)
    this._timer = null
  }

  _arm (left) {
    const ms = Math.ceil(Math.min(left, this._ms / LOOKS))
    // Outside any context: that of whoever caused the traffic would leak into the event.
    this._timer = context.root.runInAsyncScope(setTimeout, undefined, onIdle, ms, this).unref()
  }
}

function onIdle (idle) {
  const connection = idle._connection
  const moved = connection._moved()
  const now = performance.now()
  if (moved !== idle._moved) {
    idle._moved = moved
    idle._last = now
  }
  const left = idle._ms - (now - idle._last)
  if (left > 0) return idle._arm(left)
  idle._timer = null
  context.emit(connection._context, connection, 'timeout')
}

module.exports = { IdleTimer }
