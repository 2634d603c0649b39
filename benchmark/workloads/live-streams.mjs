// A hundred thousand streams that live on one connection, each with a message there and one back: the memory that one
// of them costs, and whether all of them end.

import { inParallel } from '../lib/many.mjs'
import { check } from '../lib/side.mjs'

export { accepts, optionsFor } from '../lib/many.mjs'
export { flags } from '../lib/idle.mjs'

export const title = 'many live streams on one connection'

// Some are opened first, and stay: code, tables and buffers that come with them are no memory of each of the others.
export const defaults = { count: 100_000, beside: 1000, size: 21, parallel: 256 }

export const isSteady = true

export const metrics = [
  { key: 'server', title: 'bytes a stream, accepting end', style: 'whole', isLess: true },
  { key: 'client', title: 'bytes a stream, opening end', style: 'whole', isLess: true },
  { key: 'rate', title: 'opened and answered/s' },
  { key: 'live', title: 'streams alive', style: 'whole' },
  { key: 'left', title: 'MiB more than before, after all ended, both ends', isLess: true }
]

export function describe ({ count, beside, size, parallel }) {
  return `${count.toLocaleString('en')} streams beside ${beside.toLocaleString('en')} on one connection, ${parallel} ` +
    `opens at a time; on each a message of ${size} bytes goes there and comes back. Memory is what the processes grew ` +
    'by, after the collector, divided by their number. Then a message goes there and back on each again, and all end.'
}

export async function server (side) {
  const { count, beside } = side.params
  const seen = { streams: 0, ended: 0 }
  side.partial = () => seen
  // One listener serves all: the harness must not add to what is measured.
  function onData (data) { this.write(data) }
  function onEnd () { seen.ended++ }
  const settle = async () => {
    await side.hear('settle')
    const memory = await side.settledMemory(100)
    side.tell('settled')
    return memory
  }
  await side.listen((connection) => {
    connection.onStream((stream) => {
      seen.streams++
      stream.on('data', onData)
      stream.on('end', onEnd)
    })
  })
  const before = await settle()
  const after = await settle()
  const { streams: live, ended } = seen
  check(ended === 0, `${ended} streams ended before their time`)
  const last = await settle()
  check(seen.ended === count + beside, `${seen.ended} of ${count + beside} streams ended`)
  return { before, after, last, live }
}

export async function client (side) {
  const { count, beside, size, parallel } = side.params
  const connection = await side.connect()
  const message = Buffer.alloc(size, 7)
  const streams = []
  const waiting = new Map()
  let bytes = 0
  let ended = 0
  function onData (data) {
    bytes += data.length
    const done = waiting.get(this)
    waiting.delete(this)
    done?.()
  }
  let onAllEnded
  function onEnd () { if (++ended === streams.length) onAllEnded() }
  const exchange = (stream, done) => {
    waiting.set(stream, done)
    stream.write(message)
  }
  const guard = (promise) => side.notStalled(promise, () => bytes + streams.length + ended, () => {
    return `${streams.length} streams opened, ${bytes / size} messages came back, ${ended} streams ended`
  })
  const open = (number) => guard(inParallel(number, parallel, (index, done) => {
    connection.open({ n: index }, (stream) => {
      streams.push(stream)
      stream.on('data', onData)
      stream.on('end', onEnd)
      exchange(stream, done)
    })
  }))
  const settle = async () => {
    side.tell('settle')
    const memory = await side.settledMemory(100)
    await side.hear('settled')
    return memory
  }
  await open(beside)
  const before = await settle()
  const began = performance.now()
  await open(count)
  const seconds = (performance.now() - began) / 1000
  const after = await settle()
  await guard(inParallel(streams.length, parallel, (index, done) => exchange(streams[index], done)))
  check(bytes === 2 * (count + beside) * size, `${bytes / size} of ${2 * (count + beside)} messages came back`)
  const over = new Promise((resolve) => { onAllEnded = resolve })
  for (const stream of streams) stream.end()
  await guard(over)
  streams.length = 0
  const last = await settle()
  return { before, after, last, seconds }
}

const MIB = 1024 * 1024

export function summarize ({ server, client, params }) {
  const { count, beside } = params
  check(server.live === count + beside, `${server.live} of ${count + beside} streams were there`)
  return {
    server: (server.after - server.before) / count,
    client: (client.after - client.before) / count,
    rate: count / client.seconds,
    live: server.live,
    left: (server.last - server.before + client.last - client.before) / MIB
  }
}
