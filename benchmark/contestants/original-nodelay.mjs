// The stand-in with Nagle's algorithm off: shows how much of a difference is the engine's, and how much this one
// option's.

import original from '../original-design.js'
import { muxAdapter } from '../lib/mux-adapter.mjs'

export { features } from './original.mjs'

export const packageName = null

export const title = 'original design, noDelay'

export const { listen, connect } = muxAdapter(original, { noDelay: true })
