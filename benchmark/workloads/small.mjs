// Throughput of small messages: what a frame costs, with nothing to hide it.

import { drink, flood, payload } from '../lib/flood.mjs'

export const title = '64-byte messages over one stream'

// The warm-up is for the compilers of both ends; 2 M messages last 0.4 s for the fastest and 15 s for the slowest.
export const defaults = { size: 64, messages: 2_000_000, warmUp: 300_000 }

export const metrics = [
  { key: 'rate', title: 'messages/s' },
  { key: 'events', title: "'data' events per message", exact: true }
]

export function describe ({ size, messages, warmUp }) {
  return `${messages.toLocaleString('en')} messages of ${size} bytes after ${warmUp.toLocaleString('en')} ` +
    "of warm-up, sender waits for 'drain', every byte counted."
}

export function server (side) {
  return receive(side, side.features.messages)
}

/** Every throughput workload's receiving end; `exactness` is what drink() calls messages. */
export function receive (side, exactness) {
  const { size, messages, warmUp = 0 } = side.params
  return new Promise((resolve, reject) => {
    const state = { bytes: 0 }
    side.partial = () => ({ messages: Math.floor(state.bytes / size) })
    side.listen((connection) => {
      connection.onStream((stream) => {
        drink(stream, { size, count: messages + warmUp, warmUp, messages: exactness }, state).then((result) => {
          side.tell('done')
          resolve(result)
        }, reject)
      })
    })
  })
}

export async function client (side) {
  const { size, messages, warmUp } = side.params
  const connection = await side.connect()
  connection.open({ workload: 'small' }, (stream) => flood(stream, payload(size), messages + warmUp))
  await side.hear('done')
}

export function summarize ({ server, params }) {
  return {
    rate: server.measured / ((server.arrived - server.started) / 1e9),
    events: server.events / (params.messages + params.warmUp)
  }
}
