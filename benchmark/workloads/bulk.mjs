// Throughput of large writes: what is left of the machine's memory bandwidth.

import { client, receive } from './small.mjs'

export { client }

export const title = '64 KiB writes over one stream'

// 2 GiB measured, 256 MiB before it.
export const defaults = { size: 65536, messages: 32_768, warmUp: 4096 }

export const metrics = [
  { key: 'rate', title: 'bytes/s' },
  { key: 'events', title: "'data' events per write", exact: true }
]

export function describe ({ size, messages, warmUp }) {
  return `${messages.toLocaleString('en')} writes of ${size.toLocaleString('en')} bytes after ${warmUp.toLocaleString('en')} ` +
    "of warm-up, sender waits for 'drain', every byte counted."
}

/** A large write may rightly arrive in several parts. */
export function server (side) {
  return receive(side, 'split')
}

export function summarize ({ server, params }) {
  return {
    rate: server.measured * params.size / ((server.arrived - server.started) / 1e9),
    events: server.events / (params.messages + params.warmUp)
  }
}
