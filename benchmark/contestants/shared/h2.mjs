// Node's HTTP/2 over TCP in the clear. A stream is a request whose two bodies are its two directions. Streams are the
// session's own. A request is answered at once, and that answer is the acknowledgement.

import { once } from 'node:events'
import http2 from 'node:http2'
import net from 'node:net'
import { Carrier, answerEnd, hand, listening, metaText } from './carrier.mjs'

// HTTP has no other place for a meta. Header values are Latin-1, so anything else is escaped.
const META = 'x-meta'

class Client extends Carrier {
  constructor (socket, session) {
    super(socket)
    this.session = session
    session.on('error', () => {})
  }

  open (meta, onOpen) {
    const headers = { ':method': 'POST', ':path': '/', [META]: encodeURIComponent(metaText.stringify(meta)) }
    const stream = this.session.request(headers, { endStream: false })
    stream.once('response', () => hand(stream, onOpen))
  }

  // A server can push, but not open a stream that both ends write to.
  onStream () {}
  end () { this.session.close() }
  destroy () { this.session.destroy() }
}

class Server extends Carrier {
  constructor (socket, session) {
    super(socket)
    this.session = session
    session.on('error', () => {})
  }

  open () { throw new Error('only an HTTP/2 client can open a stream') }

  onStream (listener) {
    this.session.on('stream', (stream, headers) => {
      stream.respond()
      answerEnd(stream)
      hand(stream, listener, metaText.parse(decodeURIComponent(headers[META])))
    })
  }

  end () { this.session.close() }
  destroy () { this.session.destroy() }
}

/** `settings` are those of HTTP/2; `prepare` may change a session that is about to be used. Both apply to both ends. */
export function h2 ({ settings, prepare = () => {} } = {}) {
  return {
    listen ({ host, options }, onConnection) {
      const server = http2.createServer({ settings, ...options })
      // A session hides its socket once it is closed, but its bytes are asked for afterwards.
      let accepted
      server.prependListener('connection', (socket) => { accepted = socket })
      server.on('session', (session) => {
        prepare(session)
        onConnection(new Server(accepted, session))
      })
      return listening(server, host)
    },

    async connect ({ host, port, options }) {
      const socket = net.connect({ host, port })
      const session = http2.connect(`http://${host}:${port}`, { settings, ...options, createConnection: () => socket })
      await once(session, 'connect')
      prepare(session)
      return new Client(socket, session)
    }
  }
}

export const features = {
  // Pieces are of at most 16 KiB, cut and joined as reads and frames happen to fall.
  messages: 'stream',
  duplex: true,
  acks: true,
  backpressure: true,
  maxStreams: Infinity
}
