// The stand-in for the design of 0.1.0, Nagle on, as it was. Every ratio in the report is to this one.

import original from '../original-design.js'
import { muxAdapter } from '../lib/mux-adapter.mjs'

export const title = 'original design (one write per frame)'

export const features = {
  // A message that straddles two of its reads comes as two 'data' events.
  messages: 'split',
  duplex: false,
  // Speaks the frames of 0.1.0.
  legacyWire: true
}

export const { listen, connect } = muxAdapter(original)
