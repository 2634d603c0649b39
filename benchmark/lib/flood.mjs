// As many equal messages as fit through, over one or more streams: the engine of every throughput workload.

import { Reader, checkArrived, payload } from './pattern.mjs'
import { sumOf } from './statistics.mjs'

// One turn of the sender's event loop, milliseconds, which is long against what a turn costs. Without turns, a library
// whose write() never returns false, or whose 'drain' comes within the turn, would keep timers, sockets and the end of
// the run waiting.
const TURN = 2
// Writes between two looks at the clock, which costs less than one of them.
const STRIDE = 32

// Bytes and messages under way for a library without backpressure: enough to keep both ends busy until word of the
// receiver comes, and few enough that no queue grows. Credit comes by quarters.
const PACED_BYTES = 8 * 1024 * 1024
const PACED_MESSAGES = 8192

export function pacedMessages (size) {
  return Math.max(1, Math.min(PACED_MESSAGES, Math.floor(PACED_BYTES / size)))
}

/**
 * Writes to all streams in turn, one message each, except for streams that wait for 'drain'. `limit` is for a run that
 * counts messages instead of time. If `isPaced`, credit() says how much more may be written. The `clock` ends the
 * turns.
 */
export class Flood {
  constructor (streams, { size, limit = Infinity, isPaced = false, clock = performance }) {
    this.sent = 0
    this.ended = new Promise((resolve) => { this._resolve = resolve })
    this._limit = limit
    this._isPaced = isPaced
    this._clock = clock
    this._credit = isPaced ? pacedMessages(size) : Infinity
    this._at = 0
    this._isBusy = false
    this._isWaiting = false // for the next turn
    this._turnEnds = 0
    this._hasEnded = false
    this._lanes = streams.map((stream, index) => ({ stream, bytes: payload(size, index), hasDrained: false }))
    this._ready = [...this._lanes]
    if (!isPaced) for (const lane of this._lanes) lane.stream.on('drain', () => this._drained(lane))
  }

  start () { this._pump() }

  credit (messages) {
    this._credit += messages
    this._pump()
  }

  /** Ends the streams. Messages under way are still sent. */
  stop () {
    if (this._hasEnded) return
    this._hasEnded = true
    for (const { stream } of this._lanes) stream.end()
    this._resolve(this.sent)
  }

  _drained (lane) {
    lane.hasDrained = true
    // Some libraries drain a stream that was not full.
    if (this._ready.includes(lane)) return
    this._ready.push(lane)
    this._pump()
  }

  _pump () {
    if (this._isBusy || this._isWaiting || this._hasEnded) return
    this._isBusy = true
    // A 'drain' may come within the turn, again and again: all of them belong to one turn.
    if (this._turnEnds === 0) {
      this._turnEnds = this._clock.now() + TURN
      setImmediate(() => this._nextTurn())
    }
    this._isWaiting = this._write()
    this._isBusy = false
  }

  _nextTurn () {
    this._turnEnds = 0
    if (!this._isWaiting) return
    this._isWaiting = false
    this._pump()
  }

  /** Writes until the turn is over. @returns {boolean} whether there is more to be written */
  _write () {
    const ready = this._ready
    while (ready.length > 0 && this._credit > 0) {
      if (this._clock.now() > this._turnEnds) return true
      let writes = Math.min(STRIDE, this._credit, this._limit - this.sent)
      if (writes <= 0) {
        this.stop()
        return false
      }
      while (writes-- > 0 && ready.length > 0) {
        if (this._at >= ready.length) this._at = 0
        const lane = ready[this._at]
        this.sent++
        this._credit--
        lane.hasDrained = false
        // A stream may drain within write(), which then returns false although nothing is full.
        if (lane.stream.write(lane.bytes) || this._isPaced || lane.hasDrained) this._at++
        else ready.splice(this._at, 1)
      }
    }
    return false
  }
}

/**
 * The receiving end: reads `streams` streams until they end, and checks everything. `sent()` is a promise of the number
 * of messages. `onFirst` is called at the first piece, and with `pace` at each bunch of messages.
 */
export class Drink {
  constructor ({ size, streams, isExact, onFirst, pace }) {
    this.readers = []
    this._size = size
    this._isExact = isExact
    this._open = streams
    this._onFirst = onFirst
    this._pace = pace
    this._bunch = Math.ceil(pacedMessages(size) / 4)
    this._paced = 0
    this.ended = new Promise((resolve, reject) => {
      this._resolve = resolve
      this.fail = reject
    })
  }

  get bytes () { return sumOf(this.readers, 'bytes') }
  get events () { return sumOf(this.readers, 'events') }

  add (stream) {
    const reader = new Reader(this._size, this._isExact)
    this.readers.push(reader)
    stream.on('data', (data) => {
      if (this._onFirst !== undefined) this._begin()
      if (!reader.read(data)) this.fail(new Error(reader.fault))
      if (this._pace !== undefined) this._pass(data.length)
    })
    stream.on('end', () => { if (--this._open === 0) this._resolve() })
  }

  /** From here on only the edges of pieces are compared. */
  trust () {
    for (const reader of this.readers) reader.isVerifying = false
  }

  check (sent) { checkArrived(this.readers, this._size, sent) }

  _begin () {
    const onFirst = this._onFirst
    this._onFirst = undefined
    onFirst()
  }

  _pass (bytes) {
    this._paced += bytes
    const messages = Math.floor(this._paced / this._size)
    if (messages < this._bunch) return
    this._paced -= messages * this._size
    this._pace(messages)
  }
}
