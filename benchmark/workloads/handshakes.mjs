// New connections with TLS, each with a full handshake.

import { handshakes } from '../lib/handshakes.mjs'

export const title = 'new connections with TLS, full handshakes'

export const { server, client, describe, defaults, metrics, cpu, accepts, optionsFor, summarize } = handshakes({
  resumes: false
})
