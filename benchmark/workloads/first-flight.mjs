// How many round trips opening a stream takes: the first of a connection, whoever opens it, and a later one.

import { setTimeout as sleep } from 'node:timers/promises'
import { now } from '../lib/side.mjs'
import { openStream } from '../lib/streams.mjs'

export const title = 'round trips until a stream is open'

export const defaults = { roundTrip: 50, megabytes: 100 }

export const accepts = ({ acks, wires }) => acks && wires !== undefined

export const metrics = [
  { key: 'first', title: 'the first, by the connecting end', style: 'ratio', isLess: true },
  { key: 'later', title: 'a later one', style: 'ratio', isLess: true },
  { key: 'back', title: 'one by the listening end, on the same connection', style: 'ratio', isLess: true },
  { key: 'accepting', title: 'the first, by the listening end', style: 'ratio', isLess: true }
]

// A second round trip would make it 2; half of one is what timers and a busy machine may add.
export const goals = metrics.map(({ key }) => ({ key, atMost: 1.5 }))

export const link = ({ roundTrip, megabytes }) => ({ roundTrip, megabytes })

export function describe ({ roundTrip }) {
  return `Through a process that delays by ${roundTrip} ms there and back: from the call, in the very turn that the ` +
    'connection is there, to the callback, in round trips. The handshake of TCP is not in it.'
}

async function timed (connection) {
  const began = now()
  await openStream(connection, { n: 1 })
  return (now() - began) / 1e6
}

export async function server (side) {
  const connections = []
  const accepting = new Promise((resolve) => {
    side.listen((connection) => {
      connections.push(connection)
      connection.onStream(() => {})
      // The second is the one on which this end opens first.
      if (connections.length === 2) resolve(timed(connection))
    })
  })
  await side.hear('opened')
  const back = await timed(connections[0])
  side.tell('next')
  return { back, accepting: await accepting }
}

export async function client (side) {
  const quiet = (connection) => connection.onStream(() => {})
  const connection = await side.connect()
  const first = await timed(connection)
  quiet(connection)
  // What the first has set going, as a change of wires, is over.
  await sleep(side.params.roundTrip * 2)
  const later = await timed(connection)
  side.tell('opened')
  await side.hear('next')
  quiet(await side.connect())
  return { first, later }
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
