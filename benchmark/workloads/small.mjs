// The cost of a small message, with nothing to hide it.

import { messages } from '../lib/throughput.mjs'

export const title = '64-byte messages over one stream'

export const { server, client, describe, defaults, metrics, cpu, summarize } = messages('64 bytes', { size: 64 })
