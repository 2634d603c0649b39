// Large writes over a long fast link, as between two continents: whether the windows grow to what the link holds. They
// have the warm-up to grow.

import { bulk } from '../lib/throughput.mjs'

const plain = bulk('64 KiB', { size: 65536, warmUp: 2, seconds: 4, roundTrip: 50, megabytes: 100 })

export const title = '64 KiB writes over one stream and a link with a round trip of 50 ms and 100 MB/s'

export const goals = [{ key: 'rate', to: 'net', atLeast: 0.8 }]

export const { server, client, defaults, metrics, cpu, summarize } = plain

export const link = ({ roundTrip, megabytes }) => ({ roundTrip, megabytes })

export function describe (params) {
  return `${plain.describe(params)} Between the ends is a process that delays by ${params.roundTrip} ms there and ` +
    `back and passes ${params.megabytes} MB/s.`
}
