// One stream, many equal writes: the engine of every throughput workload.

import { check, now } from './side.mjs'

/** Bytes 0, 1, 2 … so that a frame cut at the wrong place shows at either edge. */
export function payload (size) {
  return Buffer.from(Uint8Array.from({ length: size }, (_, index) => index))
}

/** Writes `count` times as fast as write() and 'drain' allow, then ends the stream. */
export function flood (stream, bytes, count) {
  let sent = 0
  function pump () {
    while (sent < count) {
      sent++
      if (!stream.write(bytes)) return
    }
    stream.removeListener('drain', pump)
    stream.end()
  }
  stream.on('drain', pump)
  pump()
}

/**
 * Reads until the stream ends and checks that everything came: `count` messages of `size` bytes, the first `warmUp` of
 * which are outside the measured time. `state.bytes` can be read while it runs.
 */
export function drink (stream, { size, count, warmUp = 0, messages }, state = { bytes: 0 }) {
  return new Promise((resolve, reject) => {
    const startAt = warmUp * size
    const total = count * size
    const exact = messages === 'exact'
    const lastByte = (size - 1) & 255
    let events = 0
    let started = 0
    let arrived = 0
    let broken = false
    stream.on('data', (data) => {
      events++
      if (exact && (data.length !== size || data[0] !== 0 || data[size - 1] !== lastByte)) broken = true
      const before = state.bytes
      const bytes = state.bytes = before + data.length
      if (before <= startAt && bytes > startAt) started = now()
      if (bytes === total) arrived = now()
    })
    stream.on('end', () => {
      try {
        check(state.bytes === total, `${state.bytes} bytes arrived instead of ${total}`)
        check(!exact || events === count, `${events} 'data' events for ${count} messages`)
        check(!broken, 'a message arrived cut, merged or changed')
        resolve({ started, arrived, events, measured: count - warmUp })
      } catch (error) {
        reject(error)
      }
    })
  })
}
