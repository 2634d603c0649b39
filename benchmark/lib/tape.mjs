// The bytes that the conformance check sends and expects. Every stream has its own place on one long random tape, so
// that any byte that is missing, doubled, changed or in the wrong stream is found where it happens.

import { randomFillSync } from 'node:crypto'

// A prime, so that no size of buffer or frame falls into step with it.
const LENGTH = 1_000_003
const LARGEST = 102_400

const tape = Buffer.alloc(LENGTH + LARGEST)
randomFillSync(tape, 0, LENGTH)
tape.copy(tape, LENGTH, 0, LARGEST)

const start = (index) => index * 7919
// The number of first bytes that identify a stream, if the library carries no meta.
const MARK = 4

/**
 * Sizes from 1 B to 100 KiB, mostly small, and equal at both ends. The edges of common frames and buffers come first.
 */
export class Sizes {
  constructor (index) {
    this.state = index + 1
    this.edges = [16, 1, LARGEST, 65536, 65535, 65537, 16384, 16383, 16385, 127, 128, 20480]
    this.count = 0
  }

  next () {
    if (this.count < this.edges.length) return this.edges[this.count++]
    // Lehmer's generator: good enough for sizes, and equal in every version of Node.
    this.state = this.state * 48271 % 0x7fffffff
    const unit = this.state / 0x7fffffff
    return Math.max(1, Math.floor(LARGEST ** (unit * unit)))
  }

  static sum (index, messages) {
    const sizes = new Sizes(index)
    let sum = 0
    for (let count = 0; count < messages; count++) sum += sizes.next()
    return sum
  }
}

export class Tape {
  /** `features` are those of the contestant, or {} if the pieces do not matter. */
  constructor (index, { messages = 'stream', exactUpTo = Infinity }) {
    this.index = index
    this.bytes = 0
    this.hasEnded = false
    this.fault = undefined
    this._messages = messages
    this._exactUpTo = messages === 'exact' ? exactUpTo : 0
    this._head = Buffer.alloc(0)
    this._sizes = undefined
    this._size = 0 // of the message that is arriving
    this._left = 0 // of it
  }

  static slice (index, at, size) {
    const from = (start(index) + at) % LENGTH
    return tape.subarray(from, from + size)
  }

  take (data) {
    if (this.index === undefined && !this._learn(data)) return
    if (this.fault === undefined) this._compare(data)
    if (this.fault === undefined && this._messages !== 'stream') this._measure(data.length)
    this.bytes += data.length
  }

  end () {
    if (this.hasEnded) this.fault ??= "'end' came twice"
    this.hasEnded = true
  }

  /** Returns false while too little has come. The bytes of the mark itself are not compared again. */
  _learn (data) {
    this._head = Buffer.concat([this._head, data])
    if (this._head.length >= MARK) {
      for (let index = 0; index < 256 && this.index === undefined; index++) {
        if (Tape.slice(index, 0, MARK).equals(this._head.subarray(0, MARK))) this.index = index
      }
      if (this.index === undefined) {
        this.index = -1
        this.fault = 'it begins like no stream that was sent'
      }
    }
    if (this.index !== undefined) {
      this.bytes = this._head.length - data.length
      return true
    }
    return false
  }

  _compare (data) {
    for (let at = 0; at < data.length; at += LARGEST) {
      const part = data.subarray(at, at + LARGEST)
      if (Buffer.compare(part, Tape.slice(this.index, this.bytes + at, part.length)) === 0) continue
      const expected = Tape.slice(this.index, this.bytes + at, part.length)
      const wrong = part.findIndex((byte, index) => byte !== expected[index])
      this.fault = `stream ${this.index} is wrong from byte ${this.bytes + at + wrong} on`
      return
    }
  }

  _measure (length) {
    this._sizes ??= new Sizes(this.index)
    if (this._left === 0) this._size = this._left = this._sizes.next()
    if (length > this._left) this.fault = `stream ${this.index}: a 'data' of ${length} bytes goes past its message`
    else if (this._size <= this._exactUpTo && length !== this._size) {
      this.fault = `stream ${this.index}: a message of ${this._size} bytes came as one of ${length}`
    }
    this._left -= length
  }
}

/** Reads a stream to its end. `index` is undefined if only the bytes can say which stream it is. */
export function follow (stream, index, features, onData) {
  const read = new Tape(index, features)
  stream.on('data', (data) => {
    read.take(data)
    onData?.(data)
  })
  stream.on('end', () => read.end())
  return read
}

export function say (bytes) {
  return bytes >= 1048576 ? `${(bytes / 1048576).toFixed(1)} MiB` : `${bytes} B`
}
