// Large writes to several streams at once, none of which may starve.

import { bulk } from '../lib/throughput.mjs'

export const title = '64 KiB writes over 16 streams'

export const { server, client, describe, defaults, metrics, cpu, summarize } = bulk('64 KiB, 16 streams', {
  size: 65536, streams: 16
})
