// yamux-js, piped through a socket as its documentation shows. Its faults are left as they are; see `lossy`.

import process from 'node:process'
import { Client, Server } from 'yamux-js'
import { Carrier, answerEnd, connectTcp, hand, listenTcp } from './shared/carrier.mjs'

export const title = 'yamux-js'

export const packageName = 'yamux-js'

export const features = {
  messages: 'stream',
  duplex: true,
  acks: false,
  // Windows are returned as data arrives, whether it is read or not.
  backpressure: false,
  // acceptBacklog counts streams that live, not streams that wait.
  maxStreams: 256,
  // The library then takes what comes next for the rest of the frame, and later takes data for a header.
  lossy: 'drops the first part of a frame that two TCP reads share; a flood ends after some 100 KB, and a write over ' +
    '64 KiB arrives damaged or not at all'
}

const FIN = 4

// The library logs what it drops to the console, which is the report's.
const config = { logger: () => {} }

/**
 * The library has half a close: close() sends a FIN, and a FIN that arrives is thrown away. No workload could end
 * without the other half, so withClose() adds it, off the path of data.
 */
function withClose (stream) {
  const update = stream.incrSendWindow
  stream.incrSendWindow = function (header) {
    update.call(this, header)
    if ((header.flags & FIN) !== 0) this.push(null)
  }
  stream.once('finish', () => stream.close())
  // Two calls are needed because the first only sends a FIN. Without the second, the session keeps the stream for good.
  stream.once('close', () => stream.session.closeStream(stream.ID()))
  return stream
}

class Connection extends Carrier {
  constructor (socket, session) {
    super(socket)
    this.session = session
    session.on('error', () => socket.destroy())
    session.pipe(socket).pipe(session)
    socket.on('close', () => session.close())
  }

  open (meta, onOpen) { process.nextTick(hand, withClose(this.session.open()), onOpen) }

  onStream (listener) {
    this.session.onStream = (stream) => {
      answerEnd(stream)
      hand(withClose(stream), listener)
    }
  }
}

export function listen ({ host, options }, onConnection) {
  return listenTcp(host, { noDelay: true, ...options }, (socket) => {
    onConnection(new Connection(socket, new Server(undefined, config)))
  })
}

export async function connect ({ host, port, options }) {
  return new Connection(await connectTcp(host, port, { noDelay: true, ...options }), new Client(config))
}
