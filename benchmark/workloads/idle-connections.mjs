// The cost of a connection that is open and carries nothing.

import { flags, idleClient, idleServer, sample, summarize } from '../lib/idle.mjs'
import { openStream } from '../lib/streams.mjs'

export { flags, summarize }

export const title = 'resident memory of an idle connection'

export const defaults = { count: 1000, beside: 50 }

export const isSteady = true

export const metrics = [
  { key: 'server', title: 'bytes, server', style: 'whole', isLess: true, plot: 'bytes per idle connection' },
  { key: 'client', title: 'bytes, client', style: 'whole', isLess: true }
]

// Far from any backlog.
const PARALLEL = 16

export function describe ({ count, beside }) {
  return `${count.toLocaleString('en')} connections without a stream beside ${beside} (a plain socket is both): what ` +
    'the processes grew by, after the collector, divided by their number. Then a message arrives over every hundredth.'
}

export function server (side) {
  return idleServer(side, 'connections')
}

export function client (side) {
  return idleClient(side, {
    async open (number) {
      const connections = []
      let left = number
      const worker = async () => { while (left-- > 0) connections.push(await side.connect()) }
      await Promise.all(Array.from({ length: PARALLEL }, worker))
      return connections
    },
    prove: (connections) => Promise.all(sample(connections).map((connection) => openStream(connection, { n: 1 })))
  })
}
