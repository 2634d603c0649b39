// The TCP connection under a multiplexer: what every contestant from npm needs around its library, and nothing that a
// message passes through. This file knows no library.

import { once } from 'node:events'
import net from 'node:net'

// A killed peer is part of some workloads; 'close' says all they need.
const ignore = () => {}

/** One end of a connection. Subclasses add open() and onStream(). */
export class Carrier {
  constructor (socket) {
    this.socket = socket
    socket.on('error', ignore)
  }

  onClose (listener) { this.socket.on('close', listener) }
  end () { this.socket.end() }
  destroy () { this.socket.destroy() }
  bytesWritten () { return this.socket.bytesWritten }
}

/** `options` are net's; `onSocket` is called with every accepted socket. */
export async function listenTcp (host, options, onSocket) {
  const server = net.createServer(options, onSocket)
  return listening(server, host)
}

export async function listening (server, host) {
  server.listen(0, host)
  await once(server, 'listening')
  return { port: server.address().port, close: () => server.close() }
}

/** Rejects if no connection can be made. */
export async function connectTcp (host, port, options) {
  const socket = net.connect({ host, port, ...options })
  await once(socket, 'connect')
  return socket
}

/** Text for libraries that name streams by strings; parse() returns what stringify() was given. */
export const metaText = {
  stringify: (meta) => JSON.stringify(meta ?? null),
  parse: (text) => JSON.parse(text)
}

/**
 * Passes a new Node stream to whoever waits for it. A listener that wants the data asks for it at once. Otherwise the
 * stream is set flowing, because a stream that nobody reads never ends and is never freed.
 */
export function hand (stream, listener, meta) {
  stream.on('error', ignore)
  listener(stream, meta)
  if (stream.listenerCount('data') === 0 && stream.listenerCount('readable') === 0) stream.resume()
}

/** For libraries that leave an accepted stream half open: an end is answered with an end, as net does by default. */
export function answerEnd (stream) {
  stream.on('end', () => stream.end())
}
