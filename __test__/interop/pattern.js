'use strict'

// Bytes that both ends of a test can make and check by themselves; interop/src/pattern.rs has the same.

// The high bytes of a linear congruential generator: any that is missing, doubled or out of place shows.
class Pattern {
  #state

  constructor (seed = 0) {
    this.#state = seed >>> 0
  }

  take (length) {
    const bytes = Buffer.allocUnsafe(length)
    let state = this.#state
    for (let index = 0; index < length; index++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      bytes[index] = state >>> 24
    }
    this.#state = state
    return bytes
  }

  // Whether `bytes` are the ones that come next.
  isNext (bytes) {
    return this.take(bytes.length).equals(bytes)
  }
}

module.exports = { Pattern }
