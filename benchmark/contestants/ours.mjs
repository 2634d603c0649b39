// This package with its defaults at both ends.

import { createRequire } from 'node:module'
import { muxAdapter } from '../lib/mux-adapter.mjs'

const ours = createRequire(import.meta.url)('../..')

export const title = 'tcp-stream-muxer'

export const packageName = null

export const features = {
  // One 'data' event per write, asserted by the workloads; a longer write may come in parts.
  messages: 'exact',
  exactUpTo: 16384,
  duplex: false,
  acks: true,
  backpressure: true,
  // The id is one byte on the wire.
  maxStreams: 256,
  // Speaks the frames of 0.1.0.
  legacyWire: true,
  wires: ['legacy']
}

export const { listen, connect } = muxAdapter(ours)
