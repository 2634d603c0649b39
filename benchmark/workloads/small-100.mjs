// The cost of many streams: no two messages in a row belong to one stream.

import { messages } from '../lib/throughput.mjs'

export const title = '64-byte messages over 100 streams'

export const { server, client, describe, defaults, metrics, cpu, summarize } = messages('64 bytes, 100 streams', {
  size: 64, streams: 100
})
