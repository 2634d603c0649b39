// New connections with TLS, which resume the session of an earlier one.

import { handshakes } from '../lib/handshakes.mjs'

export const title = 'new connections with TLS, resumed sessions'

export const { server, client, describe, defaults, metrics, cpu, accepts, optionsFor, summarize } = handshakes({
  resumes: true
})
