'use strict'

// Streams that native code has closed while the program is not done with them: they have something to be read, or their
// last events are due. If the connection ends, they must be told of it as all others are.
//
// Most such streams close within a turn. Of the others, streams whose end somebody waits for are kept here. A stream
// that nobody waits for is known through a WeakRef, if the program has asked for its data, and otherwise not at all:
// such a stream comes back with its first listener.
//
// This file may not: know what a connection is, or end a stream.

const SWEEP_AT = 64

class Outliving {
  constructor () {
    this._fresh = new Set() // streams that native code closed in this turn
    this._kept = new Set() // streams that somebody waits for
    this._others = [] // WeakRefs of streams that the program has asked for
    this._isAmong = new WeakSet() // the streams that have a WeakRef in `_others`
    this._sweepAt = SWEEP_AT
  }

  add (stream) {
    if (this._fresh.size === 0) setImmediate(keepFresh, this)
    this._fresh.add(stream)
  }

  entries () {
    const others = this._others.map((ref) => ref.deref())
    return [...new Set([...this._fresh, ...this._kept, ...others])].filter(isLive)
  }

  _keep (stream) {
    if (this._kept.size + this._others.length >= this._sweepAt) this._sweep()
    if (stream._isWaitedFor()) this._kept.add(stream)
    else if (stream._isClaimed() && !this._isAmong.has(stream)) {
      this._isAmong.add(stream)
      this._others.push(new WeakRef(stream))
    }
  }

  _sweep () {
    for (const stream of this._kept) if (stream.destroyed) this._kept.delete(stream)
    this._others = this._others.filter((ref) => isLive(ref.deref()))
    this._sweepAt = Math.max(SWEEP_AT, 2 * (this._kept.size + this._others.length))
  }
}

function keepFresh (outliving) {
  const fresh = outliving._fresh
  outliving._fresh = new Set()
  for (const stream of fresh) if (!stream.destroyed) outliving._keep(stream)
}

function isLive (stream) { return stream !== undefined && !stream.destroyed }

module.exports = { Outliving }
