'use strict'

// The budget of one connection for what its streams keep beside chunks: large end values, and metas that programs have
// looked at.
//
// This file may not: know a stream.

class Budget {
  constructor ({ maxHeld, maxMetaTotal }) {
    this._mostOfValues = maxHeld / 2 // the other half is for values that somebody has asked for
    this.maxMetaTotal = maxMetaTotal
    this._values = 0 // bytes of end values that nobody has read
    this._metas = 0
  }

  /** Whether an end value that nobody has asked for is kept. */
  canKeepValue (bytes) { return this._values + bytes <= this._mostOfValues }

  keepValue (bytes) { this._values += bytes }

  dropValue (bytes) { this._values -= bytes }

  canKeepMeta (cost) { return this._metas + cost <= this.maxMetaTotal }

  keepMeta (cost) { this._metas += cost }

  dropMeta (cost) { this._metas -= cost }
}

module.exports = { Budget }
