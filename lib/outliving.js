'use strict'

// Streams that native code is done with while the program is not: they have something to be read, or their last events
// are due. When the connection ends they must learn of it as all others do.
//
// Most of them close within a turn. What is left stays reachable through here if somebody waits for its end, or has begun
// to read it and keeps it. What nobody has asked for is not kept: it comes back here with the first listener.
//
// This file may not: know what a connection is, or end a stream.

const SWEEP_AT = 64

class Outliving {
  constructor () {
    this._fresh = [] // of this turn
    this._kept = [] // streams, or WeakRefs of them
    this._sweepAt = SWEEP_AT
  }

  add (stream) {
    if (this._fresh.length === 0) setImmediate(keepFresh, this)
    this._fresh.push(stream)
  }

  entries () {
    return this._fresh.concat(this._kept.map(streamOf)).filter(isLive)
  }

  _keep (stream) {
    if (this._kept.length >= this._sweepAt) {
      this._kept = this._kept.filter((entry) => isLive(streamOf(entry)))
      this._sweepAt = Math.max(SWEEP_AT, 2 * this._kept.length)
    }
    if (stream._isWaitedFor()) this._kept.push(stream)
    else if (stream._isClaimed()) this._kept.push(new WeakRef(stream))
  }
}

function keepFresh (outliving) {
  const fresh = outliving._fresh
  outliving._fresh = []
  for (const stream of fresh) if (!stream.destroyed) outliving._keep(stream)
}

function streamOf (entry) { return entry instanceof WeakRef ? entry.deref() : entry }

function isLive (stream) { return stream !== undefined && !stream.destroyed }

module.exports = { Outliving }
