// What QMux adds: both directions, codes, limits, pings.

import { MuxClient, MuxServer, MuxStream, type MuxStreamError, type Priority } from '../../index.js'

function is<T> (value: T): T {
  return value
}

const server = new MuxServer({
  protocol: 'qmux', allowHalfOpen: true, maxStreams: 2 ** 53 - 1, maxIncomingStreams: 1000, maxPendingStreams: 10,
  streamWindow: 1, maxStreamWindow: 2, connectionWindow: 3, maxConnectionWindow: 4, maxHeld: 5, maxRecordSize: 16382,
  idleTimeout: 60_000, pingInterval: 20_000, pingTimeout: 20_000, handshakeTimeout: 5_000, maxResets: 1, maxPings: 1, maxEmptyFrames: 1, maxUselessFrames: 1
})
server.on('connection', (con) => {
  is<'legacy' | 'qmux'>(con.protocol)
  is<'legacy' | 'qmux'>(con.stats().protocol)
  con.on('streamRefused', (meta, code) => is<number>(code)).once('goaway', () => con.setLocalWindowSize(1 << 20).goaway().close(5, 'bye'))
  con.on('stream', (stream) => {
    if (stream.meta.unwanted === true) return void stream.refuse(404)
    is<MuxStream>(stream.stopSending().reset(1).setPriority({ urgency: 0 }))
    stream.once('stopSending', (code) => is<number>(code))
  })
})

const client = new MuxClient({ port: 1, protocol: 'auto' })
async function ask (priority: Priority): Promise<void> {
  const stream = await client.StreamPool.createStream('m', { priority })
  is<number | undefined>(await client.connection?.ping())
  stream.on('error', (error) => is<number | undefined>((error as MuxStreamError).resetCode))
}
void ask({ urgency: 1, incremental: false })

// What must not compile.

// @ts-expect-error: not a number
new MuxServer({ maxStreams: '5' })
// @ts-expect-error: a code is a number
client.connection?.close('bye')
// @ts-expect-error: an unknown word
client.StreamPool.createStream('m', { priority: { weight: 1 } })
