// One socket per stream: no multiplexer at all. A connection is a factory of sockets at the end that connects; at the
// end that listens every socket is a connection of its own with one stream, since TCP tells nothing else.

import process from 'node:process'
import { connectTcp, hand, listenTcp } from './carrier.mjs'

class Sockets {
  constructor (connect) {
    this.connect = connect
    this.live = new Set()
    this.written = 0
  }

  /** The first socket is there before anybody opens a stream: it is what an idle connection is. */
  async start () {
    this.spare = await this.connect()
    this.first = this.spare
    this.add(this.spare)
    return this
  }

  add (socket) {
    this.live.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => {
      this.live.delete(socket)
      this.written += socket.bytesWritten
    })
  }

  open (meta, onOpen) {
    if (this.spare !== undefined) {
      const socket = this.spare
      this.spare = undefined
      process.nextTick(hand, socket, onOpen)
      return
    }
    // A refusal is left unhandled: the run has then failed, and its process says why.
    this.connect().then((socket) => {
      this.add(socket)
      hand(socket, onOpen)
    })
  }

  // Nobody can connect to this end.
  onStream () {}
  onClose (listener) { this.first.on('close', listener) }
  end () { for (const socket of this.live) socket.end() }
  destroy () { for (const socket of this.live) socket.destroy() }

  bytesWritten () {
    let bytes = this.written
    for (const socket of this.live) bytes += socket.bytesWritten
    return bytes
  }
}

class Accepted {
  constructor (socket) { this.socket = socket }
  open () { throw new Error('only the end that connects can open a stream') }
  onStream (listener) { hand(this.socket, listener) }
  onClose (listener) { this.socket.on('close', listener) }
  end () { this.socket.end() }
  destroy () { this.socket.destroy() }
  bytesWritten () { return this.socket.bytesWritten }
}

/** `prepare` makes of every socket, at both ends, what the contestant is about. */
export function sockets (prepare = () => {}) {
  return {
    listen ({ host, options }, onConnection) {
      return listenTcp(host, options, (socket) => {
        prepare(socket)
        onConnection(new Accepted(socket))
      })
    },

    connect ({ host, port, options }) {
      return new Sockets(async () => {
        const socket = await connectTcp(host, port, options)
        prepare(socket)
        return socket
      }).start()
    }
  }
}

export const features = {
  messages: 'stream',
  duplex: true,
  // The system accepts before the process does.
  acks: false,
  backpressure: true,
  // As many as there are file descriptors.
  maxStreams: Infinity
}
