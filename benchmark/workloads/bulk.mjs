// Large writes: how much of the machine's memory bandwidth is left.

import { bulk } from '../lib/throughput.mjs'

export const title = '64 KiB writes over one stream'

export const { server, client, describe, defaults, metrics, cpu, summarize } = bulk('64 KiB', { size: 65536 })
