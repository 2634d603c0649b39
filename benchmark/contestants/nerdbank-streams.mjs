// nerdbank-streams over a socket, in version 3 of its protocol, which its Create() speaks. Streams are the library's
// own; the meta is the name of the channel that is offered.

import { finished } from 'node:stream'
import { MultiplexingStream } from 'nerdbank-streams'
import { Carrier, answerEnd, connectTcp, hand, listenTcp, metaText } from './shared/carrier.mjs'

export const title = 'nerdbank-streams'

export const packageName = 'nerdbank-streams'

export const features = {
  // Frames are of at most 20 KiB, and never joined.
  messages: 'split',
  duplex: true,
  acks: true,
  // The library has windows, but reports data as processed when it arrives. So a reader that pauses collects all that
  // is sent, and a pause from within 'data' is revoked.
  backpressure: false,
  maxStreams: Infinity
}

class Connection extends Carrier {
  constructor (socket) {
    super(socket)
    this.mux = MultiplexingStream.Create(socket)
    this.mux.completion.catch(() => socket.destroy())
  }

  open (meta, onOpen) {
    this.mux.offerChannelAsync(metaText.stringify(meta)).then((channel) => {
      // A channel outlives its two directions until one end disposes of it. Only one end may.
      finished(channel.stream, () => channel.dispose())
      channel.completion.catch(() => {})
      hand(channel.stream, onOpen)
    }, () => this.destroy())
  }

  onStream (listener) {
    this.mux.on('channelOffered', ({ id, name }) => {
      const channel = this.mux.acceptChannel(id)
      channel.completion.catch(() => {})
      answerEnd(channel.stream)
      hand(channel.stream, listener, metaText.parse(name))
    })
  }
}

export function listen ({ host, options }, onConnection) {
  return listenTcp(host, { noDelay: true, ...options }, (socket) => onConnection(new Connection(socket)))
}

export async function connect ({ host, port, options }) {
  return new Connection(await connectTcp(host, port, { noDelay: true, ...options }))
}
