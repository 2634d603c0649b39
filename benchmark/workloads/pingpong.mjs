// Latency with one message outstanding: nothing to batch, every hop shows.

import { echo } from '../lib/echo.mjs'

export const title = 'a 64-byte message there and back, one outstanding'

export const { server, client, describe, defaults, metrics, cpu, summarize } = echo({
  outstanding: 1,
  metrics: [
    { key: 'p50', title: 'p50 µs', isLess: true, plot: 'round trip p50, µs' },
    { key: 'p99', title: 'p99 µs', isLess: true, plot: 'round trip p99, µs' }
  ]
})
