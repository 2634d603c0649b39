// multiplex, piped through a socket as its documentation shows. Streams are the library's own; the meta is the stream's
// name. Nagle's algorithm is off: a message is two writes, and a round trip took 88 ms with it on.

import process from 'node:process'
import multiplex from 'multiplex'
import { Carrier, connectTcp, hand, listenTcp, metaText } from './shared/carrier.mjs'

export const title = 'multiplex'

export const packageName = 'multiplex'

export const features = {
  // A frame is put together before it is emitted.
  messages: 'exact',
  duplex: true,
  // A stream may be written to as soon as it is made; the other end sends nothing.
  acks: false,
  // Backpressure is that of the whole connection: one stream that is not read stops all of them.
  backpressure: true,
  maxStreams: Infinity
}

class Connection extends Carrier {
  constructor (socket) {
    super(socket)
    this.plex = multiplex()
    this.plex.on('error', () => socket.destroy())
    this.plex.pipe(socket).pipe(this.plex)
  }

  open (meta, onOpen) { process.nextTick(hand, this.plex.createStream(metaText.stringify(meta)), onOpen) }
  onStream (listener) { this.plex.on('stream', (stream, name) => hand(stream, listener, metaText.parse(name))) }
}

export function listen ({ host, options }, onConnection) {
  return listenTcp(host, { noDelay: true, ...options }, (socket) => onConnection(new Connection(socket)))
}

export async function connect ({ host, port, options }) {
  return new Connection(await connectTcp(host, port, { noDelay: true, ...options }))
}
