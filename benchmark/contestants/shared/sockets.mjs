// One socket per stream: no multiplexer at all. At the end that connects, a connection is a factory of sockets. At the
// end that listens, every socket is a connection of its own with one stream, since TCP says nothing else.

import process from 'node:process'
import { connectTcp, hand, listenTcp } from './carrier.mjs'

class Sockets {
  constructor (connect) {
    this.connect = connect
    this.live = new Set()
    this.written = 0
  }

  /** Opens the first socket before anybody opens a stream, because an idle connection consists of it. */
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
    // A refusal is left unhandled: the run has then failed, and its process reports why.
    this.connect().then((socket) => {
      this.add(socket)
      hand(socket, onOpen)
    })
  }

  isResumed () { return this.first.isSessionReused() }
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

/**
 * `prepare` is called for every socket, at both ends, and makes the difference between the contestants. `transport` has
 * listen() and connect() as those of carrier.mjs.
 */
export function sockets (prepare = () => {}, transport = { listen: listenTcp, connect: connectTcp }) {
  return {
    listen ({ host, options }, onConnection) {
      return transport.listen(host, options, (socket) => {
        prepare(socket)
        onConnection(new Accepted(socket))
      })
    },

    connect ({ host, port, options }) {
      return new Sockets(async () => {
        const socket = await transport.connect(host, port, options)
        prepare(socket)
        return socket
      }).start()
    }
  }
}

export const features = {
  messages: 'stream',
  duplex: true,
  // The system accepts a connection before the process does.
  acks: false,
  backpressure: true,
  // The limit is the number of file descriptors.
  maxStreams: Infinity
}
