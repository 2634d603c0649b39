// bpmux over a socket with Nagle's algorithm off, as its documentation advises. Streams are the library's own. The meta
// goes in the handshake, and the peer's handshake is the acknowledgement.

import { BPMux } from 'bpmux'
import { Carrier, answerEnd, connectTcp, hand, listenTcp, metaText } from './shared/carrier.mjs'

export const title = 'bpmux'

export const packageName = 'bpmux'

export const features = {
  // A frame is emitted in the pieces that it was read in, and a write is cut to what the peer has room for.
  messages: 'split',
  duplex: true,
  acks: true,
  backpressure: true,
  maxStreams: Infinity
}

class Connection extends Carrier {
  constructor (socket, options) {
    super(socket)
    this.mux = new BPMux(socket, options)
    this.mux.on('error', () => socket.destroy())
  }

  open (meta, onOpen) {
    const stream = this.mux.multiplex({ handshake_data: Buffer.from(metaText.stringify(meta)) })
    stream.once('handshake', () => hand(stream, onOpen))
  }

  onStream (listener) {
    this.mux.on('handshake', (stream, handshake, delay) => {
      // null stands for the answer to a stream of our own.
      if (delay === null) return
      answerEnd(stream)
      hand(stream, listener, metaText.parse(handshake))
    })
  }
}

export function listen ({ host, options }, onConnection) {
  return listenTcp(host, { noDelay: true, ...options }, (socket) => {
    // Both ends may open streams, so each takes its numbers from a range of its own.
    onConnection(new Connection(socket, { high_channels: true }))
  })
}

export async function connect ({ host, port, options }) {
  return new Connection(await connectTcp(host, port, { noDelay: true, ...options }))
}
