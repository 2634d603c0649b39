'use strict'

// What waits for a stream's reader, in memory of its own: what came before anybody read it, up to a limit.
//
// This file may not: know a stream or a connection.

const { markAsUntransferable } = require('node:worker_threads')

// What a chunk that waits costs beside its bytes: the Buffer object and its places in our lists and Node's (115 to 120
// bytes measured on Node 20). Without it a flood of tiny messages takes many times what it counts for.
const PER_CHUNK = 128

// A chunk keeps the whole slab it was cut from, 64 KiB, and the peer chooses how many chunks of one slab are kept. So
// small ones are copied: those that have to share memory share it with their own stream's.
const KEPT_WHERE_IT_IS = 32 * 1024 // from here on a chunk is most of what it keeps
const ALONE = 1024 // from here on memory of its own costs little beside its bytes
const PAGE = 4096

// A parsed value takes this many times the bytes of its text: `{},` is 3 bytes, and an object of 50.
const PARSED = 16

const COMPACT_AT = 256 // charges

/** Copies small chunks next to each other, so that keeping one does not keep the slab it was cut from. */
class Pages {
  constructor () {
    this._page = null
    this._used = PAGE + 1 // no page yet: not even an empty chunk fits
  }

  /** @returns {*} the chunk to keep in place of this one */
  keep (chunk, length) {
    if (length >= KEPT_WHERE_IT_IS || !ArrayBuffer.isView(chunk)) return chunk
    if (length >= ALONE) {
      const copy = Buffer.allocUnsafeSlow(length)
      copy.set(chunk)
      return copy
    }
    if (length > PAGE - this._used) {
      this._page = Buffer.allocUnsafeSlow(PAGE)
      this._used = 0
      markAsUntransferable(this._page.buffer) // or one Buffer that is transferred would empty its neighbours
    }
    const start = this._used
    this._used += length
    this._page.set(chunk, start)
    return this._page.subarray(start, this._used)
  }
}

class Early {
  constructor (limit) {
    this.entries = [] // (chunk, length, charge) in turn
    this.bytes = 0
    this._left = limit
    this._pages = new Pages()
  }

  /** @returns {boolean} whether there was room for it. */
  add (chunk, length, charge) {
    this._left -= charge
    if (this._left < 0) return false
    this.bytes += length
    this.entries.push(this._pages.keep(chunk, length), length, charge)
    return true
  }
}

/** What the chunks in Node's buffer are charged with, in their order. */
class Charges {
  constructor () {
    this._entries = []
    this._head = 0
    this._bytes = 0 // of the chunks themselves; counted for streams that do not keep them apart
  }

  get length () { return this._entries.length - this._head }

  push (charge) {
    this._entries.push(charge)
    this._bytes += bytesOf(charge)
  }

  /** Takes charges from the front until so many are left. @returns {number} their sum */
  dropTo (length) {
    let sum = 0
    while (this.length > length) sum += this._take()
    this._compact()
    return sum
  }

  /** Takes those charges from the front whose chunks are not among so many bytes at the end. @returns {number} their sum */
  dropToBytes (left) {
    let sum = 0
    while (this.length > 0 && this._bytes - bytesOf(this._entries[this._head]) >= left) sum += this._take()
    this._compact()
    return sum
  }

  _take () {
    const charge = this._entries[this._head++]
    this._bytes -= bytesOf(charge)
    return charge
  }

  _compact () {
    // One by one a shift of the array would be quadratic.
    if (this._head >= COMPACT_AT && this._head * 2 >= this._entries.length) {
      this._entries.splice(0, this._head)
      this._head = 0
    }
  }

  /** Takes the charge at a place. */
  take (place) {
    const charge = this._entries.splice(this._head + place, 1)[0]
    this._bytes -= bytesOf(charge)
    return charge
  }
}

// Nothing that counts for nothing any more has bytes.
function bytesOf (charge) { return Math.max(0, charge - PER_CHUNK) }

module.exports = { Charges, Early, Pages, PARSED, PER_CHUNK }
