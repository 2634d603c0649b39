// The contents of messages in a throughput run, and the check that they arrive as sent. This file knows no stream.

import { check } from './side.mjs'

// The longest piece that is compared at once. A longer piece is compared part by part.
const SPAN = 65536

/**
 * Bytes tag, tag + 1 …: a frame that is cut at the wrong place differs at either edge, and a frame of another stream
 * differs too.
 */
export function payload (size, tag = 0) {
  return Buffer.from(Uint8Array.from({ length: size }, (_, index) => tag + index))
}

/**
 * Checks one stream of messages of `size` bytes. The first byte says which tag they have. While `isVerifying`, every
 * byte is compared. Later, for the sake of the measurement, only the length and the edges of each piece are.
 */
export class Reader {
  constructor (size, isExact) {
    this.size = size
    this.isExact = isExact
    this.isVerifying = true
    this.bytes = 0
    this.events = 0
    this.tag = -1
    this.fault = undefined
    this._message = undefined
    this._offset = 0 // in the message that the next piece goes on with
    this._expected = undefined
  }

  /** Returns false if a fault is found for the first time: `fault` says which. */
  read (data) {
    const { length } = data
    // A library may emit an empty piece. If each 'data' must be a message, that is a wrong length.
    if (length === 0 && !this.isExact) return true
    if (this.tag === -1 && length > 0) this._learn(data[0])
    this.events++
    this.bytes += length
    if (this.isExact && length !== this.size) {
      return this._fail(`a message of ${this.size} bytes arrived as one of ${length}`)
    }
    const offset = this._offset
    const next = this._offset = (offset + length) % this.size
    const last = next === 0 ? this.size - 1 : next - 1
    if (data[0] !== this._message[offset] || data[length - 1] !== this._message[last]) {
      return this._fail(`wrong bytes ${this.bytes - length} to ${this.bytes - 1}`)
    }
    if (this.isVerifying && !this._isEqual(data, offset)) return this._fail(`bytes changed before byte ${this.bytes}`)
    return true
  }

  _learn (tag) {
    this.tag = tag
    this._message = payload(this.size, tag)
    // Every piece of at most SPAN bytes is part of this buffer, wherever in a message the piece begins.
    const copies = Math.ceil(SPAN / this.size) + 1
    this._expected = Buffer.concat(Array(copies).fill(this._message))
  }

  _isEqual (data, offset) {
    for (let at = 0; at < data.length; at += SPAN) {
      const part = data.subarray(at, at + SPAN)
      const from = (offset + at) % this.size
      if (Buffer.compare(part, this._expected.subarray(from, from + part.length)) !== 0) return false
    }
    return true
  }

  _fail (fault) {
    if (this.fault !== undefined) return true
    this.fault = fault
    return false
  }
}

/** Checks that all messages of all streams came, and none in a stream that it was not sent on. */
export function checkArrived (readers, size, sent) {
  const arrived = readers.reduce((sum, { bytes }) => sum + bytes, 0)
  check(arrived === sent * size, `${arrived} of ${sent * size} bytes arrived`)
  const tags = readers.flatMap(({ tag }) => tag === -1 ? [] : [tag])
  check(new Set(tags).size === tags.length, 'two streams carried the same messages')
}
