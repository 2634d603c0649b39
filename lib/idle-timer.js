'use strict'

// setTimeout() of a connection: 'timeout' after so many milliseconds without traffic. Costs nothing where unused.
//
// This file may not: close a connection, or keep the process alive.

const context = require('./context')

class IdleTimer {
  constructor (connection, ms) {
    this._connection = connection
    this._moved = connection._moved()
    this._timer = setTimeout(onIdle, ms, this).unref()
  }

  /** There was traffic. */
  refresh () {
    this._timer.refresh()
  }

  stop () {
    clearTimeout(this._timer)
  }
}

// Traffic refreshes the timer per batch and per flush; a large queue that drains slowly shows only in the counts.
function onIdle (idle) {
  const connection = idle._connection
  const moved = connection._moved()
  if (moved !== idle._moved) {
    idle._moved = moved
    idle.refresh()
    return
  }
  context.emit(connection._context, connection, 'timeout')
}

module.exports = { IdleTimer }
