// Node's HTTP/2 with its defaults: windows of 64 KiB.

import { h2 } from './shared/h2.mjs'

export { features } from './shared/h2.mjs'

export const title = 'node http2'

export const packageName = null

export const { listen, connect } = h2()
