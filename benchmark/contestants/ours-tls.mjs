// This package with TLS at both ends, and else with its defaults: TLS 1.3 with AES-256-GCM.

import { createRequire } from 'node:module'
import { muxAdapter } from '../lib/mux-adapter.mjs'
import { features as plain } from './ours.mjs'
import { authority, certificate, key } from './shared/certificate.mjs'

const ours = createRequire(import.meta.url)('../..')

export const title = 'tcp-stream-muxer, TLS'

export const packageName = null

// Of the wires, TLS goes with QMux alone here.
const { wires, legacyWire, ...others } = plain

export const features = { ...others, resumes: true }

const mux = muxAdapter(ours)

export function listen ({ host, options: { resumes, ...options } = {} }, onConnection) {
  return mux.listen({ host, options: { tls: { key, cert: certificate }, ...options } }, onConnection)
}

export function connect ({ host, port, options: { resumes = true, ...options } = {} }) {
  const tls = { ca: authority, sessionResumption: resumes }
  return mux.connect({ host, port, options: { tls, ...options } })
}
