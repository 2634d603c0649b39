// protomux over framed-stream over a socket. protomux needs a stream that keeps messages apart, "something that length
// prefixes". framed-stream is its authors' own for that, and does not encrypt, as @hyperswarm/secret-stream would. A
// stream is a channel with two kinds of message, data and end, because a channel itself can only close for both ends.

import { EventEmitter } from 'node:events'
import c from 'compact-encoding'
import FramedStream from 'framed-stream'
import Protomux from 'protomux'
import { Carrier, connectTcp, listenTcp } from './shared/carrier.mjs'

export const title = 'protomux'

export const packageName = 'protomux'

export const features = {
  messages: 'exact',
  duplex: true,
  acks: true,
  // Backpressure is that of the whole connection: a channel can neither be paused nor fill up by itself.
  backpressure: true,
  maxStreams: Infinity
}

class Stream extends EventEmitter {
  constructor (connection, protocol, isLocal, onReady) {
    super()
    this.connection = connection
    this.isLocal = isLocal
    this.isPaused = false
    this.hasEnded = false
    this.peerHasEnded = false
    this.channel = connection.mux.createChannel({
      protocol,
      unique: false,
      handshake: c.json,
      onopen: (meta) => onReady(this, meta),
      ondrain: () => { this.emit('drain') }
    })
    this.data = this.channel.addMessage({ onmessage: (bytes) => { this.emit('data', bytes) } })
    this.last = this.channel.addMessage({ encoding: c.none, onmessage: () => this.onLast() })
  }

  write (bytes) { return this.data.send(bytes) }

  end () {
    if (this.hasEnded) return
    this.hasEnded = true
    this.last.send()
    if (this.peerHasEnded) this.channel.close()
  }

  onLast () {
    this.peerHasEnded = true
    this.emit('end')
    if (this.hasEnded) this.channel.close()
    else if (!this.isLocal) this.end()
  }

  pause () {
    if (!this.isPaused) this.connection.pause(1)
    this.isPaused = true
  }

  resume () {
    if (this.isPaused) this.connection.pause(-1)
    this.isPaused = false
  }
}

class Connection extends Carrier {
  constructor (socket, own, theirs) {
    super(socket)
    this.framed = new FramedStream(socket)
    this.mux = new Protomux(this.framed)
    // Channels of one name are paired in the order in which they are opened, so each end opens its own.
    this.own = own
    this.theirs = theirs
    this.paused = 0
  }

  open (meta, onOpen) {
    new Stream(this, this.own, true, onOpen).channel.open(meta ?? null)
  }

  onStream (listener) {
    this.mux.pair({ protocol: this.theirs }, () => {
      new Stream(this, this.theirs, false, listener).channel.open(null)
    })
  }

  pause (streams) {
    const before = this.paused
    this.paused += streams
    if (before === 0) this.framed.pause()
    else if (this.paused === 0) this.framed.resume()
  }
}

export function listen ({ host, options }, onConnection) {
  return listenTcp(host, { noDelay: true, ...options }, (socket) => {
    onConnection(new Connection(socket, 'server', 'client'))
  })
}

export async function connect ({ host, port, options }) {
  return new Connection(await connectTcp(host, port, { noDelay: true, ...options }), 'client', 'server')
}
