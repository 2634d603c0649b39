// An old receiver, which dies of a header that straddles two of its reads. Each contestant sends to the same receiver.
// Survival comes first, throughput second. There is no warm-up: an old peer in production is as cold.

import { now } from '../lib/side.mjs'
import { receive, send } from '../lib/throughput.mjs'

export const title = '64-byte messages into a receiver that dies of a split header, as 0.1.0 did'

export const receiver = { contestant: 'original', options: { strict: true } }

/** Only contestants that speak the wire of 0.1.0. */
export const accepts = ({ legacyWire }) => legacyWire === true

/** A death here is a result, and no defect of the harness. */
export const mayFail = true

export const defaults = { size: 64, messages: 1_000_000 }

export const metrics = [{ key: 'rate', title: 'messages/s' }]

export function describe ({ size, messages }) {
  return `${messages.toLocaleString('en')} messages of ${size} bytes from each client into the strict stand-in.`
}

export function server (side) {
  return receive(side, { isExact: false, isTimed: false })
}

export async function client (side) {
  const flood = await send(side, { limit: side.params.messages })
  const began = now()
  flood.start()
  await flood.ended
  return { began }
}

export function summarize ({ server, client, params }) {
  return { rate: params.messages / ((server.arrived - client.began) / 1e9) }
}
