// Streams that nobody reads, beside those that are measured. Their bytes wait at the receiver as far as credit goes,
// and from there on at the sender. After the measurement they are read, and everything must be there.

import { setTimeout as sleep } from 'node:timers/promises'
import { Reader, payload } from './pattern.mjs'
import { check } from './side.mjs'
import { sumOf } from './statistics.mjs'
import { openStream } from './streams.mjs'

const CHUNK = 65536

// Milliseconds after the last write, in which all that credit allows is sent. They are no part of the measurement.
const SETTLE = 500

export const PARAMS = { paused: 0, waiting: 64 }

export const variants = {
  key: 'paused',
  values: [0, 1, 100],
  title: (count) => count === 0 ? 'none paused' : count === 1 ? 'one paused stream' : `${count} paused streams`
}

/** Legacy frames have no credit: a stream that is not read stops its connection. */
export const accepts = ({ wires, wire = 'qmux' }) => wires !== undefined && wire !== 'legacy'

/** The number of chunks for each of them: `waiting` MiB in sum. */
const chunksOf = ({ paused, waiting }) => Math.ceil(waiting * 1024 * 1024 / CHUNK / paused)

/** The paused streams, at the receiver. */
export class PausedStreams {
  constructor (side) {
    this.side = side
    this.readers = []
    this.streams = []
    this.ended = 0
  }

  get bytes () { return sumOf(this.readers, 'bytes') }

  /** Takes the stream if it is one of these. @returns {boolean} whether it is */
  claim (stream, meta) {
    if (meta?.paused !== true) return false
    const reader = new Reader(CHUNK, false)
    stream.pause()
    stream.on('data', (data) => { reader.read(data) })
    stream.on('end', () => this.ended++)
    this.readers.push(reader)
    this.streams.push(stream)
    return true
  }

  /** Reads all of them to their end. */
  async drain () {
    const { paused } = this.side.params
    check(this.streams.length === paused, `${this.streams.length} of ${paused} streams to pause came`)
    check(this.bytes === 0, `${this.bytes} bytes came out of paused streams`)
    for (const stream of this.streams) stream.resume()
    const total = paused === 0 ? 0 : chunksOf(this.side.params) * CHUNK * paused
    const done = (async () => { while (this.ended < paused) await sleep(10) })()
    await this.side.notStalled(done, () => this.bytes, () => {
      return `${this.bytes} of ${total} bytes of paused streams arrived, ${this.ended} ended`
    })
    check(this.bytes === total, `${this.bytes} of ${total} bytes of paused streams arrived`)
    const fault = this.readers.find(({ fault }) => fault !== undefined)
    check(fault === undefined, `in a paused stream: ${fault?.fault}`)
  }
}

/** Opens and fills the paused streams, at the sender, whatever write() returns. */
export async function fillPaused (side, connection) {
  const { paused } = side.params
  if (paused === 0) return
  const streams = []
  while (streams.length < paused) streams.push(await openStream(connection, { paused: true, n: streams.length }))
  const chunks = streams.map((stream, index) => payload(CHUNK, index))
  for (let left = chunksOf(side.params); left > 0; left--) {
    streams.forEach((stream, index) => stream.write(chunks[index]))
    // The chunk is sent meanwhile, as in a program.
    await new Promise(setImmediate)
  }
  for (const stream of streams) stream.end()
  await sleep(SETTLE)
}

/** A workload over `server(side, { claim })` and `client(side, { burden })`, with paused streams beside it. */
export function beside ({ server, client }) {
  return {
    async server (side) {
      const paused = new PausedStreams(side)
      const result = await server(side, { claim: (stream, meta) => paused.claim(stream, meta) })
      await paused.drain()
      return result
    },
    client: (side) => client(side, { burden: (connection) => fillPaused(side, connection) })
  }
}

export function describe (text, { waiting }) {
  return `${text} Beside it, on the same connection, streams that nobody reads, ${waiting} MiB written to them in sum ` +
    'before the measurement; they are read, and checked, after it.'
}
