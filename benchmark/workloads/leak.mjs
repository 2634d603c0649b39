// Resident memory after many streams and many killed connections, compared with that before them.

import { check } from '../lib/side.mjs'

export const title = 'resident memory after streams opened and ended, connections opened and killed'

// The warm-up fills pools, arenas and code caches that rightly stay; only what grows after it is a leak.
export const defaults = {
  streams: 100_000, connections: 1000, warmUpStreams: 10_000, warmUpConnections: 100, parallel: 64
}

export const metrics = [
  { key: 'server', title: 'server grew by MiB (lower is better)', noRatio: true },
  { key: 'client', title: 'client grew by MiB' },
  { key: 'serverRss', title: 'server RSS MiB' },
  { key: 'clientRss', title: 'client RSS MiB' }
]

export function describe ({ streams, connections, warmUpStreams, warmUpConnections }) {
  return `${streams.toLocaleString('en')} streams and ${connections.toLocaleString('en')} connections after a warm-up ` +
    `of ${warmUpStreams.toLocaleString('en')} and ${warmUpConnections}; each connection is killed with a stream open ` +
    'and data on the way.'
}

export async function server (side) {
  const counts = { ended: 0, closed: 0 }
  side.partial = () => counts
  let target = null
  const isOver = () => {
    if (target && counts.ended === target.ended && counts.closed === target.closed) {
      target = null
      side.tell('reached')
    }
  }
  const server = await side.listen((connection) => {
    connection.onClose(() => { counts.closed++; isOver() })
    connection.onStream((stream) => {
      stream.on('data', () => {})
      stream.on('end', () => { counts.ended++; isOver() })
    })
  })
  async function reach (phase) {
    target = await side.hear(phase)
    isOver()
    await side.hear(`${phase} measured`)
    return side.settledMemory()
  }
  const before = await reach('warm-up')
  side.tell('settled')
  const after = await reach('work')
  side.tell('settled')
  server.close()
  return { before, after }
}

export async function client (side) {
  const { streams, connections, warmUpStreams, warmUpConnections, parallel } = side.params
  const main = await side.connect()
  const bytes = Buffer.alloc(1024, 7)

  function openStreams (count) {
    return new Promise((resolve) => {
      let opened = 0
      let ended = 0
      function next () {
        opened++
        main.open({ n: opened }, onOpen)
      }
      function onOpen (stream) {
        stream.write(bytes)
        stream.end()
        if (++ended === count) resolve()
        else if (opened < count) next()
      }
      for (let index = 0; index < Math.min(parallel, count); index++) next()
    })
  }

  async function killConnection () {
    const connection = await side.connect()
    const stream = await new Promise((resolve) => connection.open({ victim: true }, resolve))
    stream.on('error', () => {})
    await new Promise((resolve) => {
      connection.onClose(resolve)
      stream.write(bytes)
      connection.destroy()
    })
  }

  async function killConnections (count) {
    let left = count
    const worker = async () => { while (left-- > 0) await killConnection() }
    // 16 at once are enough for the tables of both ends to grow and shrink, and far from the backlog.
    await Promise.all(Array.from({ length: 16 }, worker))
  }

  async function settle (phase, target) {
    side.tell(phase, target)
    await side.hear('reached')
    const memory = await side.settledMemory()
    // The ends measure one after the other: the collector of one would otherwise run while the other measures.
    side.tell(`${phase} measured`)
    await side.hear('settled')
    return memory
  }

  await openStreams(warmUpStreams)
  await killConnections(warmUpConnections)
  const before = await settle('warm-up', { ended: warmUpStreams, closed: warmUpConnections })

  await openStreams(streams)
  await killConnections(connections)
  const after = await settle('work', { ended: warmUpStreams + streams, closed: warmUpConnections + connections })
  return { before, after }
}

const MIB = 1024 * 1024

export function summarize ({ server, client }) {
  check(server.before > 0 && client.before > 0, 'no memory was measured')
  return {
    server: (server.after - server.before) / MIB,
    client: (client.after - client.before) / MIB,
    serverRss: server.after / MIB,
    clientRss: client.after / MIB
  }
}
