// node-datachannel: the data channels of WebRTC (SCTP in DTLS over UDP) by libdatachannel. What the two ends say to
// each other before there is a connection goes over a socket.

import { EventEmitter } from 'node:events'
import { createInterface } from 'node:readline'
import { PeerConnection } from 'node-datachannel'
import { Carrier, connectTcp, listenTcp, metaText } from './shared/carrier.mjs'

export const title = 'node-datachannel (WebRTC)'

export const packageName = 'node-datachannel'

export const features = {
  messages: 'exact',
  exactUpTo: 65536,
  // A channel is closed in both directions at once.
  duplex: false,
  acks: true,
  backpressure: true,
  // One of 512 makes the connection.
  maxStreams: 511,
  lossy: 'the last messages before the end of a channel may be lost'
}

// The bytes that the library may hold before write() says that it is enough.
const MARK = 1024 * 1024

class Stream extends EventEmitter {
  constructor (channel, connection) {
    super()
    this.channel = channel
    this.connection = connection
    // The library keeps what comes before there is somebody to hear of it.
    this.on('newListener', (name) => {
      if (name === 'data' && this.listenerCount('data') === 0) channel.onMessage((data) => this.emit('data', data))
    })
    channel.onClosed(() => this.emit('end'))
    channel.setBufferedAmountLowThreshold(MARK / 4)
    channel.onBufferedAmountLow(() => {
      if (this.isEnding && channel.bufferedAmount() === 0) channel.close()
      this.emit('drain')
    })
  }

  write (bytes) {
    this.connection.written += bytes.length
    this.channel.sendMessageBinary(bytes)
    return this.channel.bufferedAmount() < MARK
  }

  // What is held would be lost.
  end () {
    if (this.channel.bufferedAmount() === 0) this.channel.close()
    else {
      this.isEnding = true
      this.channel.setBufferedAmountLowThreshold(0)
    }
  }
}

class Connection extends Carrier {
  constructor (socket, name) {
    super(socket)
    // The library tells only what each candidate sent: these are the payload's.
    this.written = 0
    this.peer = new PeerConnection(name, { iceServers: [], bindAddress: '127.0.0.1', maxMessageSize: 262144 })
    const say = (message) => socket.write(`${JSON.stringify(message)}\n`)
    this.peer.onLocalDescription((sdp, type) => say({ sdp, type }))
    this.peer.onLocalCandidate((candidate, mid) => say({ candidate, mid }))
    createInterface({ input: socket }).on('line', (line) => {
      const { sdp, type, candidate, mid } = JSON.parse(line)
      if (sdp) this.peer.setRemoteDescription(sdp, type)
      else this.peer.addRemoteCandidate(candidate, mid)
    })
    socket.on('close', () => this.peer.close())
  }

  open (meta, onOpen) {
    const channel = this.peer.createDataChannel(metaText.stringify(meta))
    const stream = new Stream(channel, this)
    channel.onOpen(() => onOpen(stream))
  }

  onStream (listener) {
    this.peer.onDataChannel((channel) => {
      const meta = metaText.parse(channel.getLabel())
      // The channel that made the connection is nobody's.
      if (meta !== null) listener(new Stream(channel, this), meta)
    })
  }

  bytesWritten () { return this.written }
}

export function listen ({ host }, onConnection) {
  return listenTcp(host, {}, (socket) => onConnection(new Connection(socket, 'server')))
}

export async function connect ({ host, port }) {
  const connection = new Connection(await connectTcp(host, port), 'client')
  connection.first = connection.peer.createDataChannel('null')
  await new Promise((resolve) => connection.first.onOpen(resolve))
  return connection
}
