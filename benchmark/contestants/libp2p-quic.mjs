// @chainsafe/libp2p-quic: QUIC by quinn, in native code, without what libp2p negotiates above it. The package wants
// Node 22, and runs on 20 all the same.

import { generateKeyPair } from '@libp2p/crypto/keys'
import { defaultLogger } from '@libp2p/logger'
import { multiaddr } from '@multiformats/multiaddr'
import { quic } from '@chainsafe/libp2p-quic'
import { Stream } from './shared/libp2p-stream.mjs'
import { PreambleReader, preamble } from './shared/preamble.mjs'

export const title = '@chainsafe/libp2p-quic'

export const packageName = '@chainsafe/libp2p-quic'

export const features = {
  messages: 'stream',
  duplex: true,
  acks: false,
  backpressure: true,
  maxStreams: 256,
  lossy: 'a stream that is paused when its end comes cannot be resumed'
}

class Connection {
  constructor (maConn, muxer) {
    this.maConn = maConn
    this.muxer = muxer
    // The library tells nobody how many bytes it sent: these are the payload's.
    this.written = 0
  }

  stream (own) {
    const stream = new Stream(own)
    const { write } = stream
    stream.write = (bytes) => {
      this.written += bytes.length
      return write.call(stream, bytes)
    }
    return stream
  }

  open (meta, onOpen) {
    this.muxer.createStream().then((own) => {
      const stream = this.stream(own)
      stream.write(preamble(meta))
      onOpen(stream)
    })
  }

  onStream (listener) {
    this.muxer.addEventListener('stream', ({ detail }) => {
      const stream = this.stream(detail)
      const head = new PreambleReader()
      stream.on('end', () => stream.end())
      const onData = (data) => {
        const found = head.read(data)
        if (found === undefined) return
        stream.removeListener('data', onData)
        listener(stream, found.meta)
        if (found.rest.length > 0) stream.emit('data', found.rest)
      }
      stream.on('data', onData)
    })
  }

  onClose (listener) { this.maConn.addEventListener('close', () => listener()) }
  end () { this.muxer.close().then(() => this.maConn.close()).catch(() => {}) }
  destroy () { this.maConn.abort(new Error('destroyed')) }
  bytesWritten () { return this.written }
}

async function transport () {
  const privateKey = await generateKeyPair('Ed25519')
  return quic()({ privateKey, logger: defaultLogger() })
}

const connection = (maConn, { muxerFactory }) => new Connection(maConn, muxerFactory.createStreamMuxer(maConn))
const address = (host, port) => multiaddr(`/ip4/${host}/udp/${port}/quic-v1`)

export async function listen ({ host }, onConnection) {
  const upgradeInbound = async (maConn, options) => { onConnection(connection(maConn, options)) }
  const listener = (await transport()).createListener({ upgrader: { upgradeInbound } })
  await listener.listen(address(host, 0))
  return { port: Number(listener.getAddrs()[0].toString().split('/')[4]), close: () => listener.close() }
}

export async function connect ({ host, port }) {
  const upgradeOutbound = async (maConn, options) => connection(maConn, options)
  const { signal } = new AbortController()
  return (await transport()).dial(address(host, port), { signal, upgrader: { upgradeOutbound } })
}
