// The stand-in for the design of 0.1.0, with Nagle on as in 0.1.0. The report has a ratio to this contestant in every
// row.

import original from '../original-design.js'
import { muxAdapter } from '../lib/mux-adapter.mjs'

export const title = 'original design (one write per frame)'

export const packageName = null

export const features = {
  // A message that straddles two reads comes as two 'data' events.
  messages: 'split',
  duplex: false,
  acks: true,
  // Backpressure is that of the socket: streams cannot be paused, and nothing is kept for a reader.
  backpressure: true,
  // The id of a stream is one byte on the wire.
  maxStreams: 256,
  // The contestant speaks the frames of 0.1.0.
  legacyWire: true
}

export const { listen, connect } = muxAdapter(original)
