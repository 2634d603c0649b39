// Whether streams that are not read delay messages on others.

import { answer, ask, echo } from '../lib/echo.mjs'
import { beside, describe as besides, PARAMS } from '../lib/paused.mjs'

export { accepts, variants } from '../lib/paused.mjs'

const plain = echo({
  outstanding: 1,
  metrics: [
    { key: 'p99', title: 'p99 µs', isLess: true },
    { key: 'p50', title: 'p50 µs', isLess: true }
  ],
  own: PARAMS
})

export const title = 'a 64-byte message there and back, one outstanding, beside paused streams'

export const goals = [{ key: 'p99', to: 'base', atMost: 2 }]

export const { defaults, metrics, cpu, summarize } = plain

export const { server, client } = beside({ server: answer, client: ask })

export const describe = (params) => besides(plain.describe(params), params)
