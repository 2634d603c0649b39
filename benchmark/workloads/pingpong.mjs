// Latency with one message outstanding: nothing to batch, every hop shows.

import { payload } from '../lib/flood.mjs'
import { now } from '../lib/side.mjs'
import { quantile } from '../lib/statistics.mjs'

export const title = 'one 64-byte message there and back, one outstanding'

export const defaults = { size: 64, rounds: 30_000, warmUp: 5000 }

export const metrics = [
  { key: 'p50', title: 'p50 µs (lower is better)' },
  { key: 'p99', title: 'p99 µs' }
]

export function describe ({ size, rounds, warmUp }) {
  return `${rounds.toLocaleString('en')} rounds of ${size} bytes after ${warmUp.toLocaleString('en')} of warm-up.`
}

/** Where a stream goes one way only, the answers come on one that the other side opens. */
export async function server (side) {
  await side.listen((connection) => {
    connection.onStream((stream) => {
      if (side.features.duplex) stream.on('data', (data) => stream.write(data))
      else connection.open({ back: true }, (back) => stream.on('data', (data) => back.write(data)))
    })
  })
  await side.hear('done')
}

export async function client (side) {
  const { size, rounds, warmUp } = side.params
  const connection = await side.connect()
  const bytes = payload(size)
  const there = new Promise((resolve) => connection.open({ there: true }, resolve))
  const back = side.features.duplex ? there : new Promise((resolve) => connection.onStream(resolve))
  const [out, home] = await Promise.all([there, back])

  const times = new Float64Array(rounds)
  await new Promise((resolve) => {
    let round = -warmUp
    let missing = 0
    let sentAt = 0
    function ping () {
      missing = size
      sentAt = now()
      out.write(bytes)
    }
    home.on('data', (data) => {
      missing -= data.length
      if (missing > 0) return
      if (round >= 0) times[round] = now() - sentAt
      if (++round === rounds) resolve()
      else ping()
    })
    ping()
  })
  side.tell('done')
  times.sort()
  return { p50: quantile(times, 0.5) / 1000, p99: quantile(times, 0.99) / 1000 }
}

export function summarize ({ client }) {
  return client
}
