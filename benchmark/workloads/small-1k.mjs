// Messages whose bytes begin to cost something beside the message itself.

import { messages } from '../lib/throughput.mjs'

export const title = '1 KiB messages over one stream'

export const { server, client, describe, defaults, metrics, cpu, summarize } = messages('1 KiB', { size: 1024 })
