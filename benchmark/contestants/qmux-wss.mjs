// @moq/qmux: QMux with the API of WebTransport, over ws and Node's TLS. The package says nothing of the Node it wants,
// and calls Promise.withResolvers, which Node has from 22; on 20 the function below stands in for it.

import { once } from 'node:events'
import https from 'node:https'
import Session, { selectSubprotocol } from '@moq/qmux'
import { WebSocket, WebSocketServer } from 'ws'
import { CIPHER, authority, certificate, key } from './shared/certificate.mjs'
import { WebStream, preamble } from './shared/preamble.mjs'

export const title = '@moq/qmux over ws and TLS'

export const packageName = '@moq/qmux'

export const features = {
  messages: 'stream',
  duplex: true,
  acks: false,
  backpressure: true,
  maxStreams: Infinity
}

// The defaults of both libraries, but for the number of streams, which is 100 a connection.
const config = { maxStreamsBidi: 1_000_000n }

Promise.withResolvers ??= function () {
  const all = {}
  all.promise = new this((resolve, reject) => Object.assign(all, { resolve, reject }))
  return all
}

const suite = { ciphers: CIPHER, minVersion: 'TLSv1.3' }

class Connection {
  constructor (session, socket) {
    this.session = session
    this.socket = socket
    session.closed.catch(() => {})
  }

  open (meta, onOpen) {
    this.session.createBidirectionalStream().then((pair) => {
      const stream = new WebStream(pair)
      stream.write(preamble(meta))
      onOpen(stream)
      stream.flow()
    })
  }

  async onStream (listener) {
    const reader = this.session.incomingBidirectionalStreams.getReader()
    try {
      for (;;) {
        const { value, done } = await reader.read()
        if (done) return
        const stream = new WebStream(value)
        stream.on('end', () => stream.end())
        stream.accept().then((meta) => listener(stream, meta), () => {})
      }
    } catch {
      // The connection is over.
    }
  }

  onClose (listener) { this.session.closed.then(() => listener(), () => listener()) }
  end () { this.session.close() }
  destroy () { this.session.close() }
  bytesWritten () { return this.socket().bytesWritten }
}

export async function listen ({ host }, onConnection) {
  const server = https.createServer({ key, cert: certificate, ...suite })
  const sockets = new WebSocketServer({
    server,
    handleProtocols: (offered) => selectSubprotocol([...offered].join(', '), {}) ?? false
  })
  sockets.on('connection', (socket, { socket: carrier }) => {
    onConnection(new Connection(Session.accept(socket, { config }), () => carrier))
  })
  server.listen(0, host)
  await once(server, 'listening')
  return { port: server.address().port, close: () => server.close() }
}

export async function connect ({ host, port }) {
  // The library makes the socket by the name that browsers have for it.
  let socket
  globalThis.WebSocket = class extends WebSocket {
    constructor (url, protocols) {
      super(url, protocols, { ca: authority, ...suite })
      socket = this
    }
  }
  const session = new Session(`https://${host}:${port}/`, { config })
  await session.ready
  const carrier = socket._socket
  return new Connection(session, () => carrier)
}
