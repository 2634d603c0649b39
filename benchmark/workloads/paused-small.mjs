// Whether streams that are not read slow down small messages on others.

import { beside, describe as besides, PARAMS } from '../lib/paused.mjs'
import { messages } from '../lib/throughput.mjs'

export { accepts, variants } from '../lib/paused.mjs'

const plain = messages('64 bytes', { size: 64, streams: 4, ...PARAMS })

export const title = '64-byte messages over 4 streams, beside paused ones'

export const goals = [{ key: 'rate', to: 'base', atLeast: 0.9 }]

export const { defaults, metrics, cpu, summarize } = plain

export const { server, client } = beside(plain)

export const describe = (params) => besides(plain.describe(params), params)
