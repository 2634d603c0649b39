// The stand-in for the design of 0.1.0, Nagle on, as it was. Every ratio in the report is to this one.

import original from '../original-design.js'
import { muxAdapter } from '../lib/mux-adapter.mjs'

export const title = 'original design (one write per frame)'

export const packageName = null

export const features = {
  // A message that straddles two of its reads comes as two 'data' events.
  messages: 'split',
  duplex: false,
  acks: true,
  // The socket's: its streams cannot be paused, and nothing is kept for a reader.
  backpressure: true,
  // The id is one byte on the wire.
  maxStreams: 256,
  // Speaks the frames of 0.1.0.
  legacyWire: true
}

export const { listen, connect } = muxAdapter(original)
