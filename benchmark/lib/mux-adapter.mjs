// The adapter for every contestant with the API of tcp-stream-muxer 0.1.0: MuxServer, MuxClient, createStream. The
// adapter may add no work to a stream: workloads get the contestant's own stream objects.

import { once } from 'node:events'

class Connection {
  constructor (connection, events) {
    this.connection = connection
    this.events = events
    // A killed peer is part of some workloads; 'close' says all they need.
    connection.on('error', () => {})
  }

  open (meta, onOpen) { this.connection.StreamPool.createStream(meta, onOpen) }
  onStream (listener) { this.events.on('stream', (stream) => listener(stream, stream.meta)) }
  onClose (listener) { this.connection.on('close', listener) }
  end () { this.connection.end() }
  destroy () { this.connection.destroy() }
  bytesWritten () { return this.connection.bytesWritten }
  isResumed () { return this.connection.isSessionReused() }
}

/** `own` has the options that make the contestant what it is; the workload's options override them. */
export function muxAdapter ({ MuxServer, MuxClient }, own = {}) {
  return {
    async listen ({ host, options }, onConnection) {
      const server = new MuxServer({ port: 0, host, ...own, ...options })
      server.on('connection', (connection) => onConnection(new Connection(connection, connection)))
      await once(server, 'listening')
      return { port: server.address().port, close: () => server.close() }
    },

    connect ({ host, port, options }) {
      return new Promise((resolve, reject) => {
        const client = new MuxClient({ port, host, ...own, ...options }, () => {
          client.on('error', () => {})
          resolve(new Connection(client.connection, client))
        })
        client.once('error', reject)
      })
    }
  }
}
