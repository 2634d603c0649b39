// Node's own sockets with their defaults, Nagle included, one for each stream. There is no meta, because TCP has no
// place for it.

import { sockets } from './shared/sockets.mjs'

export { features } from './shared/sockets.mjs'

export const title = 'net, a socket per stream'

export const packageName = null

export const { listen, connect } = sockets()
