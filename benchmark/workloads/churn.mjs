// A million streams on one connection, one after the other: whether their memory is freed meanwhile.

import { inParallel } from '../lib/many.mjs'
import { check } from '../lib/side.mjs'

/** Only contestants with wires: with a socket for each stream, the ports would run out. */
export const accepts = ({ wires }) => wires !== undefined

export const title = 'streams opened and ended in a row, on one connection'

// The warm-up fills pools, arenas and code caches that rightly stay.
export const defaults = { streams: 1_000_000, warmUpStreams: 100_000, parallel: 64 }

// The young generation has its full size from the start. Otherwise it would grow in the middle, by more than is looked
// for.
export const flags = ['--min-semi-space-size=16', '--max-semi-space-size=16']

export const metrics = [
  { key: 'rate', title: 'streams/s' },
  { key: 'server', title: 'server grew by MiB', isLess: true },
  { key: 'client', title: 'client grew by MiB', isLess: true },
  { key: 'highest', title: 'highest MiB above that, both ends', isLess: true }
]

// A byte for each stream is 1 MiB in all: a contestant below 8 bytes each holds on to none of them.
export const goals = [{ key: 'server', atMost: 8 }, { key: 'client', atMost: 8 }]

// Milliseconds between two looks at the memory. --json has all of them.
const LOOK = 500

export function describe ({ streams, warmUpStreams, parallel }) {
  return `${streams.toLocaleString('en')} streams after a warm-up of ${warmUpStreams.toLocaleString('en')}, ${parallel} ` +
    'at a time: opened with a meta object, seen by the other side, then ended. Resident memory after the collector, ' +
    'before and after; and the highest that was seen meanwhile.'
}

const MIB = 1024 * 1024

/** Looks at the memory during the run, in MiB. The function that it returns ends the watch, and returns the numbers. */
function watch () {
  const seen = []
  const timer = setInterval(() => seen.push(Math.round(process.memoryUsage.rss() / MIB * 10) / 10), LOOK)
  return () => {
    clearInterval(timer)
    return seen
  }
}

export async function server (side) {
  let ended = 0
  let accepted = 0
  let target = Infinity
  let onTarget
  const onEnd = () => { if (++ended === target) onTarget() }
  await side.listen((connection) => connection.onStream((stream) => {
    accepted++
    stream.on('data', () => {})
    stream.on('end', onEnd)
  }))
  const reach = (count) => side.notStalled(new Promise((resolve) => {
    target = count
    onTarget = resolve
    if (ended === count) resolve()
  }), () => ended, () => `${accepted} streams came, ${ended} of ${count} ended`)
  const settle = async () => {
    await side.hear('settle')
    const memory = await side.settledMemory()
    side.tell('settled')
    return memory
  }
  const { streams, warmUpStreams } = side.params
  await reach(warmUpStreams)
  const before = await settle()
  const stop = watch()
  await reach(warmUpStreams + streams)
  const at = process.hrtime.bigint()
  const looks = stop()
  const after = await settle()
  return { before, after, looks, at: Number(at) }
}

export async function client (side) {
  const { streams, warmUpStreams, parallel } = side.params
  const connection = await side.connect()
  let opened = 0
  const open = (count) => side.notStalled(inParallel(count, parallel, (index, done) => {
    connection.open({ n: index }, (stream) => {
      opened++
      stream.end()
      done()
    })
  }), () => opened, () => `${opened} streams opened`)
  const settle = async () => {
    side.tell('settle')
    const memory = await side.settledMemory()
    await side.hear('settled')
    return memory
  }
  await open(warmUpStreams)
  const before = await settle()
  const stop = watch()
  const began = process.hrtime.bigint()
  await open(streams)
  const looks = stop()
  const after = await settle()
  return { before, after, looks, began: Number(began) }
}

export function summarize ({ server, client, params }) {
  check(server.before > 0 && client.before > 0, 'no memory was measured')
  const above = ({ before, looks }) => Math.max(0, ...looks) - before / MIB
  return {
    rate: params.streams / ((server.at - client.began) / 1e9),
    server: (server.after - server.before) / MIB,
    client: (client.after - client.before) / MIB,
    highest: Math.max(above(server), above(client)),
    serverLooks: server.looks,
    clientLooks: client.looks
  }
}
