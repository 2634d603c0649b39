// Large writes: what is left of the machine's memory bandwidth.

import { bulk } from '../lib/throughput.mjs'

export const title = '64 KiB writes over one stream'

export const { server, client, describe, defaults, metrics, cpu, summarize } = bulk('64 KiB', { size: 65536 })
