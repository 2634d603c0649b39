'use strict'

// Unused halves of streams that the program can no longer reach. A program of version 0.1.0 never ends what it accepts.
// While the creator reads, only the program may end a half that it has not used. If the program cannot reach the stream
// any more, nobody is left to use the half, and the half ends. These functions own `_reach` of a stream.
//
//   the half waits for its program ──two sweeps──▶ the connection knows it weakly ──collected──▶ END
//              ▲                                                │
//              └──────────── used, or listened to ──────────────┘
//
// A program that listens for 'close' or 'finish' expects the event, so the connection keeps such a stream.
//
// This file may not: end a stream that the program can still reach.

const { op } = require('./boundary')
const context = require('./context')
const engine = require('./engine')
const halfOpen = require('./half-open')
const { costOf } = require('./meta')
const { isAwaited } = require('./node-buffer')
const { warnOnce } = require('./warnings')

// A half that is used within a sweep or two, as by a program that looks something up, costs nothing here.
const PERIOD = 500 // ms

// V8 collects a stream when it sees fit. If the process has little to do, that may be never, while peers wait for the
// places of their streams. So V8 is asked to collect: soon if half the places of a connection are taken by such
// streams, and half as often each time nothing was collected.
const SOON = 1000 // ms
const LATER = 5000 // ms
const MOST_BACKOFF = 32

const nudges = { at: 0, backoff: 1, collected: true }

// The values of a stream's `_reach`: how the connection knows the stream.
const REACHED = 0
const RESTED = 1 // the unused half has waited for the program for a while
const WEAK = 2 // the connection knows the stream only through a WeakRef

/** Takes the place of a stream that the connection does not keep in its table. */
class Unreachable {
  constructor (stream) {
    this._ref = new WeakRef(stream)
    this._connection = stream._connection
    this._handle = stream._nativeHandle
    // The numbers that count for the stream. While they change, the stream is back in the table.
    this._heldBytes = stream._reader.heldBytes
    this._heldEndBytes = stream._reader.heldEndBytes
    this._earlyBytes = stream._reader.earlyBytes
    this._metaCost = costOf(stream)
  }

  /** @returns {MuxStream|undefined} */
  get stream () { return this._ref.deref() }

  // The peer's half is over, so only these records can still come.
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

/** Looks for streams of a connection that the program cannot reach, as long as halves wait for the program. */
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

/** The program uses the stream, and thus can reach it. */
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
  // A stream that has had its WeakRef only since this turn cannot be collected within the turn.
  setImmediate(suggest)
}

function suggest () { engine.native.suggestCollection() }

module.exports = { REACHED, WEAK, Sweep, Unreachable, keep }
