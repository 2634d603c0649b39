// @chainsafe/libp2p-yamux over @libp2p/tcp, without the encryption and the negotiation that libp2p puts between and
// above the two: its upgrader makes the muxer. Streams have no meta, because libp2p negotiates protocols on them
// instead.

import { yamux } from '@chainsafe/libp2p-yamux'
import { defaultLogger } from '@libp2p/logger'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { Stream } from './shared/libp2p-stream.mjs'

export const title = 'libp2p-yamux'

export const packageName = '@chainsafe/libp2p-yamux'

export const features = {
  // All that is queued is joined, at either end.
  messages: 'stream',
  duplex: true,
  acks: false,
  backpressure: true,
  maxStreams: 1000
}

class Connection {
  constructor (maConn) {
    this.maConn = maConn
    this.muxer = yamux()().createStreamMuxer(maConn)
  }

  open (meta, onOpen) { this.muxer.createStream().then((stream) => onOpen(new Stream(stream))) }

  onStream (listener) {
    this.muxer.addEventListener('stream', ({ detail }) => {
      const stream = new Stream(detail)
      stream.on('end', () => stream.end())
      listener(stream)
    })
  }

  onClose (listener) { this.maConn.addEventListener('close', () => listener()) }
  end () { this.muxer.close().then(() => this.maConn.close()).catch(() => {}) }
  destroy () { this.maConn.abort(new Error('destroyed')) }
  bytesWritten () { return this.maConn.socket.bytesWritten }
}

const transport = (options) => tcp(options)({ logger: defaultLogger() })
const address = (host, port) => multiaddr(`/ip4/${host}/tcp/${port}`)

export async function listen ({ host, options }, onConnection) {
  const upgradeInbound = async (maConn) => { onConnection(new Connection(maConn)) }
  const listener = transport({ listenOpts: options }).createListener({ upgrader: { upgradeInbound } })
  await listener.listen(address(host, 0))
  return { port: listener.server.address().port, close: () => listener.close() }
}

export function connect ({ host, port, options }) {
  const upgradeOutbound = async (maConn) => new Connection(maConn)
  const { signal } = new AbortController()
  return transport({ dialOpts: options }).dial(address(host, port), { signal, upgrader: { upgradeOutbound } })
}
