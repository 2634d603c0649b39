'use strict'

// The timer behind setTimeout() of a connection or a stream: calls `_onIdle()` if nothing moved for a number of
// milliseconds. An unused timer costs nothing.
//
// This file may not: close anything, emit anything, or keep the process alive.

const context = require('./context')

// No record and no flush reports a queue that drains slowly, or a frame that comes in pieces. Such a movement is only
// found by looking, this many times within the period. So 'timeout' is late by at most that part of the period.
const LOOKS = 4

class IdleTimer {
  /**
   * @param subject `subject._moved()` returns a number that changes with each movement; `subject._onIdle()` is called
   */
  constructor (subject, ms) {
    this._subject = subject
    this._ms = ms
    this._moved = subject._moved()
    this._last = performance.now() // the time of the last known movement
    this._timer = null
    this._arm(ms)
  }

  /** There was traffic: a record or a flush. */
  refresh () {
    this._moved = this._subject._moved()
    this._last = performance.now()
    if (this._timer === null) this._arm(this._ms)
  }

  stop () {
    clearTimeout(this._timer)
    this._timer = null
  }

  _arm (left) {
    const ms = Math.ceil(Math.min(left, this._ms / LOOKS))
    // The timer runs outside any context: that of whoever caused the traffic would leak into the event.
    this._timer = context.later(ms, onIdle, this)
  }
}

function onIdle (idle) {
  const moved = idle._subject._moved()
  const now = performance.now()
  if (moved !== idle._moved) {
    idle._moved = moved
    idle._last = now
  }
  const left = idle._ms - (now - idle._last)
  if (left > 0) return idle._arm(left)
  idle._timer = null
  idle._subject._onIdle()
}

module.exports = { IdleTimer }
