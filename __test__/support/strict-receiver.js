'use strict'

// How 0.1.0 takes its reads apart, as far as it can die of it: a header that straddles two reads throws, and so does a
// read with more empty frames than its recursion can bear. `frames` is called with id, type and payload length of each.
const MAX_EMPTY_FRAMES = 8_000

function strictReceiver (onFrame) {
  let left = 0
  return function read (chunk) {
    let empty = 0
    let offset = 0
    while (offset < chunk.length) {
      if (left > 0) {
        const part = Math.min(left, chunk.length - offset)
        left -= part
        offset += part
        continue
      }
      if (chunk.length - offset < 6) {
        throw new RangeError(`a header straddles a read: ${chunk.length - offset} bytes of it at the end of ${chunk.length}`)
      }
      const length = chunk.readUInt32BE(offset)
      if (length < 6) throw new RangeError(`a frame of length ${length}`)
      if (length === 6 && ++empty > MAX_EMPTY_FRAMES) throw new RangeError(`${empty} empty frames in one read`)
      left = length - 6
      onFrame(chunk[offset + 4], chunk[offset + 5], left)
      offset += 6
    }
  }
}

module.exports = { strictReceiver }
