// The workload of one direction at full speed. Its variants differ in the size of a message, in the number of streams,
// and in whether a message must arrive in one piece.

import { Drink, Flood } from './flood.mjs'
import { openStreams } from './streams.mjs'
import { cpuOf, followWindow, openWindow } from './window.mjs'

/**
 * Resolves with the counts of Drink, when all streams have ended and everything has been checked. Streams for which
 * claim(stream, meta) is true are left to the caller.
 */
export async function receive (side, { isExact, isTimed = true, claim }) {
  const { size, streams = 1 } = side.params
  let measured
  const drink = new Drink({
    size,
    streams,
    isExact,
    onFirst: () => { if (isTimed) measured = openWindow(side, () => drink.bytes, () => drink.trust()) },
    pace: side.features.backpressure ? undefined : (messages) => side.tell('credit', messages)
  })
  side.partial = () => ({ messages: Math.floor(drink.bytes / size) })
  let sent
  const all = Promise.all([drink.ended, side.hear('sent').then((count) => { sent = count })])
  await side.listen((connection) => connection.onStream((stream, meta) => {
    if (!claim?.(stream, meta)) drink.add(stream)
  }))
  await side.notStalled(all, () => drink.bytes, () => sent === undefined
    ? `${drink.bytes} bytes arrived`
    : `${drink.bytes} of ${sent * size} bytes arrived`)
  const arrivedAt = process.hrtime.bigint()
  drink.check(sent)
  return { ...await measured, arrived: Number(arrivedAt), events: drink.events, total: sent }
}

/** `burden(connection)` is awaited before anything is sent. */
export async function send (side, { limit, burden } = {}) {
  const { size, streams = 1 } = side.params
  const opened = await openStreams(side, streams)
  await burden?.(opened.connections[0])
  const isPaced = !side.features.backpressure
  const flood = new Flood(opened.streams, { size, limit, isPaced })
  if (isPaced) side.hearAll('credit', (messages) => flood.credit(messages))
  flood.ended.then((sent) => side.tell('sent', sent))
  return flood
}

async function server (side, { claim } = {}) {
  return receive(side, { isExact: side.params.wholeMessages === 1 && side.features.messages === 'exact', claim })
}

async function client (side, { burden } = {}) {
  const flood = await send(side, { burden })
  flood.start()
  const measured = await followWindow(side)
  flood.stop()
  return measured
}

function describe ({ size, streams, seconds, warmUp }) {
  const over = streams === 1 ? 'one stream' : `${streams} streams in turn`
  return `Writes of ${size.toLocaleString('en')} bytes to ${over} for ${seconds} s after ${warmUp} s of warm-up, ` +
    "as fast as write() and 'drain' allow; counted where they arrive."
}

const TIMES = { warmUp: 1, seconds: 2 }

/** Small messages: the cost of one. `plot` names the workload in the plot. */
export function messages (plot, own) {
  return {
    server,
    client,
    describe,
    // If 1, each message of a contestant that promises so must arrive in one piece.
    defaults: { streams: 1, wholeMessages: 1, ...TIMES, ...own },
    metrics: [
      { key: 'rate', title: 'messages/s', plot: `${plot}, messages per second` },
      { key: 'events', title: "'data' events per message", style: 'ratio' }
    ],
    cpu: { title: 's per million messages' },
    summarize ({ server, client, params }) {
      const rate = server.units / params.size / server.elapsed
      const events = server.events / server.total
      return { rate, events, ...cpuOf({ sender: client, receiver: server, rate }, 1e6) }
    }
  }
}

/** Large writes, which may rightly arrive in several parts: how much of the machine's bandwidth is left. */
export function bulk (plot, own) {
  return {
    server,
    client,
    describe,
    defaults: { streams: 1, wholeMessages: 0, ...TIMES, ...own },
    metrics: [
      { key: 'rate', title: 'bytes/s', plot: `${plot}, bytes per second` },
      { key: 'events', title: "'data' events per write", style: 'ratio' }
    ],
    cpu: { title: 's per GB' },
    summarize ({ server, client }) {
      const rate = server.units / server.elapsed
      const events = server.events / server.total
      return { rate, events, ...cpuOf({ sender: client, receiver: server, rate }, 1e9) }
    }
  }
}
