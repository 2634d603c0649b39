// Code that workloads of very many streams on one connection share.

/** Contestants that take these options and have room for so many ids: a legacy frame has one byte for the id. */
export const accepts = ({ wires, wire = 'qmux' }) => wires !== undefined && wire !== 'legacy'

/** Options that allow so many streams at once, at either end. */
export const optionsFor = () => ({ maxStreams: 2 ** 31, maxIncomingStreams: 2 ** 31 })

/** Calls `start(index, done)` for 0 to count - 1, with `parallel` of them under way; resolves when all are done. */
export function inParallel (count, parallel, start) {
  return new Promise((resolve, reject) => {
    let started = 0
    let over = 0
    function done () {
      if (++over === count) resolve()
      else next()
    }
    function next () {
      if (started >= count) return
      try {
        start(started++, done)
      } catch (error) {
        reject(error)
      }
    }
    if (count === 0) resolve()
    for (let index = 0; index < Math.min(parallel, count); index++) next()
  })
}
