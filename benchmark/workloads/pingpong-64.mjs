// Requests and answers as a busy service has them: there is something to batch, and each request is waited for.

import { echo } from '../lib/echo.mjs'

export const title = '64-byte messages there and back, 64 outstanding'

export const { server, client, describe, defaults, metrics, cpu, summarize } = echo({
  outstanding: 64,
  metrics: [
    { key: 'rate', title: 'round trips/s', plot: 'round trips per second, 64 outstanding' },
    { key: 'p99', title: 'p99 µs', isLess: true }
  ]
})
