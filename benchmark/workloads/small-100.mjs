// What many streams cost: no two messages in a row belong to the same one.

import { messages } from '../lib/throughput.mjs'

export const title = '64-byte messages over 100 streams'

export const { server, client, describe, defaults, metrics, cpu, summarize } = messages('64 bytes, 100 streams', {
  size: 64, streams: 100
})
