// The round trips that opening a stream takes: the first stream of a connection, whoever opens it, and a later one.

import { setTimeout as sleep } from 'node:timers/promises'
import { now } from '../lib/side.mjs'
import { summary } from '../lib/statistics.mjs'
import { openStream } from '../lib/streams.mjs'

export const title = 'round trips until a stream is open'

// The number of connections of each kind, one after the other. Code that runs for the first time takes longer.
export const defaults = { roundTrip: 50, megabytes: 100, connections: 5 }

export const accepts = ({ acks, wires }) => acks && wires !== undefined

export const metrics = [
  { key: 'first', title: 'the first, by the connecting end', style: 'ratio', isLess: true },
  { key: 'later', title: 'a later one', style: 'ratio', isLess: true },
  { key: 'back', title: 'one by the listening end, on the same connection', style: 'ratio', isLess: true },
  { key: 'accepting', title: 'the first, by the listening end', style: 'ratio', isLess: true }
]

// A second round trip would make it 2; timers and a busy machine may add half of one.
export const goals = metrics.map(({ key }) => ({ key, atMost: 1.5 }))

export const link = ({ roundTrip, megabytes }) => ({ roundTrip, megabytes })

export function describe ({ roundTrip }) {
  return `Through a process that delays by ${roundTrip} ms there and back: from the call, in the very turn that the ` +
    'connection is there, to the callback, in round trips; medians of several connections. The handshake of TCP is not ' +
    'in it.'
}

async function timed (connection) {
  const began = now()
  await openStream(connection, { n: 1 })
  return (now() - began) / 1e6
}

const median = (times) => summary(times).median

export async function server (side) {
  const count = side.params.connections
  const accepting = []
  const back = []
  let last
  let isFirst = false
  let onAccepting
  await side.listen((connection) => {
    last = connection
    connection.onStream(() => {})
    if (isFirst) timed(connection).then(onAccepting)
  })
  while (back.length < count) {
    await side.hear('opened')
    back.push(await timed(last))
    side.tell('next')
  }
  isFirst = true
  while (accepting.length < count) {
    const time = new Promise((resolve) => { onAccepting = resolve })
    side.tell('your turn')
    accepting.push(await time)
  }
  return { back: median(back), accepting: median(accepting) }
}

export async function client (side) {
  const { connections, roundTrip } = side.params
  const first = []
  const later = []
  while (first.length < connections) {
    const connection = await side.connect()
    first.push(await timed(connection))
    connection.onStream(() => {})
    // Whatever the first stream has started, such as a change of wires, is over.
    await sleep(roundTrip * 2)
    later.push(await timed(connection))
    side.tell('opened')
    await side.hear('next')
  }
  for (let index = 0; index < connections; index++) {
    await side.hear('your turn')
    const connection = await side.connect()
    connection.onStream(() => {})
  }
  return { first: median(first), later: median(later) }
}

export function summarize ({ server, client, params }) {
  const { roundTrip } = params
  return {
    first: client.first / roundTrip,
    later: client.later / roundTrip,
    back: server.back / roundTrip,
    accepting: server.accepting / roundTrip
  }
}
