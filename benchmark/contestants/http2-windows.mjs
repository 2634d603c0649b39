// Node's HTTP/2 with large windows at both ends, as its users tune it for throughput.

import { features as plain, h2 } from './shared/h2.mjs'


export const title = 'node http2, 16 MiB windows'

export const packageName = null

export const features = {
  ...plain,
  // A session that waits for a write reads nothing. Smaller windows are full before the sockets' buffers are.
  lossy: 'stalls for good once both ends fill their windows at the same time; nothing is lost one way'
}

const WINDOW = 16 * 1024 * 1024

export const { listen, connect } = h2({
  settings: { initialWindowSize: WINDOW },
  prepare: (session) => session.setLocalWindowSize(WINDOW)
})
