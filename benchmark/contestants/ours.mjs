// This package with its defaults at both ends.

import { createRequire } from 'node:module'
import { muxAdapter } from '../lib/mux-adapter.mjs'

const ours = createRequire(import.meta.url)('../..')

export const title = 'tcp-stream-muxer'

export const features = {
  // One 'data' event per write, asserted by the workloads.
  messages: 'exact',
  duplex: false,
  // Speaks the frames of 0.1.0.
  legacyWire: true
}

export const { listen, connect } = muxAdapter(ours)
