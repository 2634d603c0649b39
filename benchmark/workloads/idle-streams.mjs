// The cost of a stream that is open and carries nothing.

import { flags, idleClient, idleServer, sample, summarize } from '../lib/idle.mjs'
import { openStreams } from '../lib/streams.mjs'

export { flags, summarize }

export const title = 'resident memory of an idle stream'

export const defaults = { count: 10_000, beside: 500 }

export const isSteady = true

export const metrics = [
  { key: 'server', title: 'bytes, accepting end', style: 'whole', isLess: true, plot: 'bytes per idle stream' },
  { key: 'client', title: 'bytes, opening end', style: 'whole', isLess: true }
]

export function describe ({ count, beside }) {
  return `${count.toLocaleString('en')} streams beside ${beside}, over as many connections as the protocol needs: ` +
    'what the processes grew by, after the collector, divided by their number. Then a message arrives over every hundredth.'
}

export function server (side) {
  return idleServer(side, 'streams')
}

export function client (side) {
  return idleClient(side, {
    open: async (number) => (await openStreams(side, number)).streams,
    prove: sample
  })
}
