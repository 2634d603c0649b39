// The least that the parts can cost in JavaScript: the copy into a large buffer, and a Buffer that is cut out of one
// and emitted. Nothing of the library runs here.

import { EventEmitter } from 'node:events'

const FastBuffer = Buffer[Symbol.species]
const AREA = 256 * 1024
const SLAB = 64 * 1024
const ROUNDS = 400

// The best of many rounds, because a floor has no noise in it.
function best (work, count) {
  let least = Infinity
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now()
    work(count)
    least = Math.min(least, performance.now() - start)
  }
  return least * 1e6 / count
}

/** @returns nanoseconds per message, for each floor */
export function floors (size) {
  const area = Buffer.allocUnsafeSlow(AREA)
  const slab = Buffer.allocUnsafeSlow(SLAB).buffer
  const bytes = Buffer.alloc(size, 7)
  const count = Math.floor(AREA / size)
  const emitter = new EventEmitter()
  let total = 0
  emitter.on('data', (data) => { total += data.length })
  const emit = (chunk) => emitter.emit('data', chunk)
  const chunk = new FastBuffer(slab, 0, size)
  const result = {
    'set() into a buffer': best((n) => { for (let i = 0; i < n; i++) area.set(bytes, i * size) }, count),
    'a Buffer cut from a slab': best((n) => {
      for (let i = 0; i < n; i++) total += new FastBuffer(slab, i * size % (SLAB - size + 1), size).length
    }, count),
    "emit('data')": best((n) => { for (let i = 0; i < n; i++) emit(chunk) }, count)
  }
  if (total === 0) throw new Error('nothing was measured')
  return result
}
