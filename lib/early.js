'use strict'

// The chunks that wait for a stream's reader: what came before anybody read the stream, in memory of its own and up to
// a limit.
//
// This file may not: know a stream or a connection.

const { markAsUntransferable } = require('node:worker_threads')

// The cost of a waiting chunk beside its bytes: the Buffer object, and its places in our lists and in Node's (115 to
// 120 bytes measured on Node 20). Without this charge, a flood of tiny messages would take many times the memory that
// it is charged for.
const PER_CHUNK = 128

// A chunk keeps the whole slab that it was cut from alive, 64 KiB, and the peer chooses how many chunks of one slab are
// kept. So small chunks are copied. Chunks that must share memory share it with chunks of their own stream only.
const KEPT_WHERE_IT_IS = 32 * 1024 // a chunk of at least this length is most of what it keeps alive
const ALONE = 1024 // for a chunk of at least this length, memory of its own costs little more than its bytes
const PAGE = 4096

// A parsed value takes up to this many times the bytes of its text: `{},` is 3 bytes, and becomes an object of 50.
const PARSED = 16

const COMPACT_AT = 256 // charges

/** Copies small chunks next to each other, so that keeping one does not keep the slab it was cut from. */
class Pages {
  constructor () {
    this._page = null
    this._used = PAGE + 1 // there is no page yet: not even an empty chunk fits
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
      markAsUntransferable(this._page.buffer) // otherwise transferring one Buffer would empty its neighbours
    }
    const start = this._used
    this._used += length
    this._page.set(chunk, start)
    return this._page.subarray(start, this._used)
  }
}

class Early {
  constructor (limit) {
    this.entries = [] // (chunk, length, charge), in order of arrival
    this.bytes = 0
    this._left = limit
    this._pages = new Pages()
  }

  /** @returns {boolean} whether the chunk was within the limit */
  add (chunk, length, charge) {
    this._left -= charge
    if (this._left < 0) return false
    this.bytes += length
    this.entries.push(this._pages.keep(chunk, length), length, charge)
    return true
  }
}

/** The charges of the chunks in Node's buffer, in the order of the chunks. */
class Charges {
  constructor () {
    this._entries = []
    this._head = 0
    this._bytes = 0 // the lengths of the chunks; needed for streams whose buffer joins its chunks
  }

  get length () { return this._entries.length - this._head }

  push (charge) {
    this._entries.push(charge)
    this._bytes += bytesOf(charge)
  }

  /** Takes charges from the front until `length` of them are left. @returns {number} their sum */
  dropTo (length) {
    let sum = 0
    while (this.length > length) sum += this._take()
    this._compact()
    return sum
  }

  /**
   * Takes charges from the front, as long as the chunks behind the first one still add up to `left` bytes or more.
   * @returns {number} their sum
   */
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
    // Shifting the array for each charge would take quadratic time.
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

// A charge of 0 stands for a chunk that was released before it entered the buffer, and counts for no bytes.
function bytesOf (charge) { return Math.max(0, charge - PER_CHUNK) }

module.exports = { Charges, Early, Pages, PARSED, PER_CHUNK }
