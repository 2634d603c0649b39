// @matrixai/quic: QUIC by Cloudflare's quiche, with Web streams. The package is not maintained any more.

import crypto from 'node:crypto'
import Logger, { LogLevel } from '@matrixai/logger'
import { QUICClient, QUICServer, events } from '@matrixai/quic'
import { authority, certificate, key } from './shared/certificate.mjs'
import { WebStream, preamble } from './shared/preamble.mjs'

export const title = '@matrixai/quic'

export const packageName = '@matrixai/quic'

export const features = {
  messages: 'stream',
  duplex: true,
  acks: false,
  backpressure: true,
  maxStreams: 100
}

const logger = new Logger('benchmark', LogLevel.SILENT)

class Connection {
  constructor (connection, destroy) {
    this.connection = connection
    this.destroy = destroy
    this.end = destroy
    // Data counts in packets of QUIC; the library does not say how many bytes they were.
    this.written = 0
    connection.addEventListener(events.EventQUICConnectionSend.name, ({ detail }) => { this.written += detail.msg.length })
  }

  open (meta, onOpen) {
    const stream = new WebStream(this.connection.newStream('bidi'))
    stream.write(preamble(meta))
    onOpen(stream)
    stream.flow()
  }

  onStream (listener) {
    this.connection.addEventListener(events.EventQUICConnectionStream.name, ({ detail }) => {
      const stream = new WebStream(detail)
      stream.on('end', () => stream.end())
      stream.accept().then((meta) => listener(stream, meta), () => {})
    })
  }

  onClose (listener) { this.connection.closedP.then(listener, listener) }
  bytesWritten () { return this.written }
}

export async function listen ({ host }, onConnection) {
  const secret = await crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, true, ['sign', 'verify'])
  const server = new QUICServer({
    crypto: {
      key: await crypto.subtle.exportKey('raw', secret),
      ops: {
        sign: async (key, data) => crypto.createHmac('sha256', Buffer.from(key)).update(Buffer.from(data)).digest().buffer,
        verify: async (key, data, signature) => {
          const own = crypto.createHmac('sha256', Buffer.from(key)).update(Buffer.from(data)).digest()
          return own.equals(Buffer.from(signature))
        }
      }
    },
    config: { key, cert: certificate, verifyPeer: false },
    logger
  })
  server.addEventListener(events.EventQUICServerConnection.name, ({ detail: connection }) => {
    onConnection(new Connection(connection, () => connection.stop({ force: true }).catch(() => {})))
  })
  await server.start({ host, port: 0 })
  return { port: server.port, close: () => server.stop({ force: true }).catch(() => {}) }
}

export async function connect ({ host, port }) {
  const client = await QUICClient.createQUICClient({
    host,
    port,
    localHost: host,
    serverName: 'localhost',
    crypto: { ops: { randomBytes: async (data) => { crypto.getRandomValues(new Uint8Array(data)) } } },
    config: { ca: authority, verifyPeer: true },
    logger
  })
  return new Connection(client.connection, () => client.destroy({ force: true }).catch(() => {}))
}
