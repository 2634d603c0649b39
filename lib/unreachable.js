'use strict'

// Unused halves of streams that the program can no longer reach. A program of version 0.1.0 never ends what it accepts; while
// the creator reads, only the program may end a half that it has not used. Once it cannot reach the stream any more, nobody
// is left to use the half, and it ends.
//
//   the half waits for its program ──two sweeps──▶ the connection knows it weakly ──collected──▶ END
//              ▲                                                │
//              └──────────── used, or listened to ──────────────┘
//
// A program that listens for 'close' or 'finish' is to be told of it: the connection goes on to keep such a stream.
//
// This file may not: end a stream that is still reachable.

const { op } = require('./boundary')
const context = require('./context')
const engine = require('./engine')
const halfOpen = require('./half-open')
const { costOf } = require('./meta')
const { isAwaited } = require('./node-buffer')
const { warnOnce } = require('./warnings')

// A half that is used within a sweep or two, as by a program that looks something up, costs nothing here.
const PERIOD = 500 // ms

// What collects a stream is V8, when it sees fit; a process with little to do may never see fit, while peers wait for the
// places of their streams. So V8 is nudged: soon if half the places of a connection are taken by such streams, and less
// often each time nothing was collected.
const SOON = 1000 // ms
const LATER = 5000 // ms
const MOST_BACKOFF = 32

const nudges = { at: 0, backoff: 1, collected: true }

// Of a stream: how the connection knows it.
const REACHED = 0
const RESTED = 1 // its unused half has waited for the program for a while
const WEAK = 2 // through a WeakRef only

/** Stands in the table of a connection for a stream that it does not keep. */
class Unreachable {
  constructor (stream) {
    this._ref = new WeakRef(stream)
    this._connection = stream._connection
    this._handle = stream._nativeHandle
    // What counts for the stream. None of it changes without the stream being put back.
    this._heldBytes = stream._reader.heldBytes
    this._heldEndBytes = stream._reader.heldEndBytes
    this._earlyBytes = stream._reader.earlyBytes
    this._metaCost = costOf(stream)
  }

  /** @returns {MuxStream|undefined} */
  get stream () { return this._ref.deref() }

  // The peer's half is over: these are the records that can still come.
  _onUnread () { this.stream?._onUnread() }
  _onReset (code) { this.stream?._onReset(code) }
  _onStopped (code) { this.stream?._onStopped(code) }
  _onConnectionEnd (reason, isOver) { this.stream?._onConnectionEnd(reason, isOver) }

  _onClosed () {
    const { stream } = this
    if (stream !== undefined) return stream._onClosed()
    this._connection._budget.dropMeta(this._metaCost)
    return true
  }

  /** The stream was collected. */
  _end () {
    const connection = this._connection
    if (connection._stream(this._handle) !== this) return
    nudges.collected = true
    if (this._heldBytes > 0) {
      connection._budget.dropValue(this._heldEndBytes)
      connection._link.command(op.RELEASE, this._handle, this._heldBytes)
      connection._counts.discard(1, this._earlyBytes)
      warnOnce('MUX_STREAM_DISCARDED')
    }
    if (connection._link.canSend()) connection._link.command(op.END, this._handle, 0)
  }
}

const registry = new FinalizationRegistry((entry) => entry._end())

/** Looks for streams of a connection that the program cannot reach, as long as halves wait for it. */
class Sweep {
  constructor (connection) {
    this._connection = connection
    this._timer = null
  }

  /** A half waits for its program. */
  start () {
    if (this._timer === null) this._timer = context.later(PERIOD, sweep, this)
  }

  _sweep () {
    this._timer = null
    const connection = this._connection
    if (connection.destroyed) return
    let waiting = 0
    let weak = 0
    for (const entry of connection._streams.table.remote) {
      if (entry instanceof Unreachable) weak++
      else if (entry !== undefined && halfOpen.awaitsProgram(entry)) {
        waiting++
        if (entry._reach === REACHED) entry._reach = RESTED
        else if (!isAwaited(entry)) {
          weaken(entry)
          weak++
        }
      }
    }
    if (weak > 0) nudge(2 * weak >= connection._settings.maxIncomingStreams ? SOON : LATER)
    if (waiting + weak > 0) this.start()
  }
}

function sweep (one) { one._sweep() }

function weaken (stream) {
  const entry = new Unreachable(stream)
  stream._connection._streams.table.replace(stream._nativeHandle, entry)
  stream._reach = WEAK
  registry.register(stream, entry, entry)
}

/** The program has the stream, and does something with it. */
function keep (stream) {
  if (stream._reach !== WEAK) return
  stream._reach = REACHED
  const entry = stream._connection._stream(stream._nativeHandle)
  if (!(entry instanceof Unreachable) || entry.stream !== stream) return
  registry.unregister(entry)
  stream._connection._streams.table.replace(stream._nativeHandle, stream)
  stream._connection._streams.sweep.start()
}

function nudge (after) {
  const now = performance.now()
  const backoff = nudges.collected ? 1 : nudges.backoff
  if (now - nudges.at < after * backoff) return
  nudges.at = now
  nudges.backoff = Math.min(2 * backoff, MOST_BACKOFF)
  nudges.collected = false
  // What has a WeakRef since this turn is kept through it.
  setImmediate(suggest)
}

function suggest () { engine.native.suggestCollection() }

module.exports = { REACHED, WEAK, Sweep, Unreachable, keep }
