// This package with its defaults at both ends.

import { createRequire } from 'node:module'
import { muxAdapter } from '../lib/mux-adapter.mjs'

const ours = createRequire(import.meta.url)('../..')

export const title = 'tcp-stream-muxer'

export const packageName = null

export const features = {
  // Each write is one 'data' event, which the workloads assert. A longer write may come in parts.
  messages: 'exact',
  exactUpTo: 16384,
  duplex: false,
  acks: true,
  backpressure: true,
  // The default limit, on either wire.
  maxStreams: 256,
  // The package speaks the frames of 0.1.0.
  legacyWire: true,
  wires: ['qmux', 'legacy']
}

// The options for a workload's name of a wire. QMux is what two new ends agree on by themselves, and what is measured
// by default. 'new' turns the pacing off that protects version 0.1.0.
const WIRES = {
  qmux: { protocol: 'auto' },
  legacy: { protocol: 'legacy', peer: 'new' }
}

const mux = muxAdapter(ours)

const withWire = ({ wire, ...options } = {}) => ({ ...WIRES[wire], ...options })

export const listen = ({ host, options }, onConnection) => mux.listen({ host, options: withWire(options) }, onConnection)

export const connect = ({ host, port, options }) => mux.connect({ host, port, options: withWire(options) })
