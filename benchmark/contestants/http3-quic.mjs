// @currentspace/http3, its streams of QUIC without HTTP: Cloudflare's quiche on a thread of its own. The package wants
// Node 24, and runs on 20 all the same.

import { connectQuicAsync, createQuicServer } from '@currentspace/http3'
import { answerEnd, hand } from './shared/carrier.mjs'
import { authority, certificate, key } from './shared/certificate.mjs'
import { PreambleReader, preamble } from './shared/preamble.mjs'

export const title = '@currentspace/http3, raw QUIC'

export const packageName = '@currentspace/http3'

export const features = {
  messages: 'stream',
  duplex: true,
  acks: false,
  // What a paused reader does not take is kept for it, without a limit.
  backpressure: false,
  maxStreams: Infinity,
  lossy: 'stalls for good once much goes both ways; most of what it sends is sent again by then'
}

class Connection {
  constructor (session) {
    this.session = session
    session.on('error', () => {})
  }

  open (meta, onOpen) {
    const stream = this.session.openStream()
    stream.write(preamble(meta))
    process.nextTick(hand, stream, onOpen)
  }

  onStream (listener) {
    this.session.on('stream', (stream) => {
      const head = new PreambleReader()
      const onData = (data) => {
        const found = head.read(data)
        if (found === undefined) return
        stream.removeListener('data', onData)
        stream.pause()
        if (found.rest.length > 0) stream.unshift(found.rest)
        answerEnd(stream)
        hand(stream, listener, found.meta)
        stream.resume()
      }
      stream.on('data', onData)
    })
  }

  onClose (listener) { this.session.on('close', listener) }
  end () { this.session.close() }
  destroy () { this.session.close() }
  bytesWritten () { return this.session.getMetrics()?.bytesOut ?? 0 }
}

export async function listen ({ host }, onConnection) {
  const server = createQuicServer({ key, cert: certificate, initialMaxStreamsBidi: 1_000_000 })
  server.on('error', () => {})
  server.on('session', (session) => onConnection(new Connection(session)))
  const { port } = await server.listen(0, host)
  return { port, close: () => server.close() }
}

export async function connect ({ host, port }) {
  return new Connection(await connectQuicAsync(`${host}:${port}`, { ca: authority, servername: 'localhost' }))
}
