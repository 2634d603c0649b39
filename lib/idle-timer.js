'use strict'

// setTimeout() of a connection or a stream: tells it when nothing moved for so many milliseconds. Costs nothing where
// unused.
//
// This file may not: close anything, emit anything, or keep the process alive.

const context = require('./context')

// What no record and no flush tells of, a queue that drains slowly or a frame that comes in pieces, is only found by
// looking: this often within the time, so that 'timeout' is late by no more than that part of it.
const LOOKS = 4

class IdleTimer {
  /** @param subject its `_moved()` returns a number that changes with each movement; `_onIdle()` is told */
  constructor (subject, ms) {
    this._subject = subject
    this._ms = ms
    this._moved = subject._moved()
    this._last = performance.now() // of the last movement, as far as known
    this._timer = null
    this._arm(ms)
  }

  /** There was traffic: a batch or a flush. */
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
    // Outside any context: that of whoever caused the traffic would leak into the event.
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
