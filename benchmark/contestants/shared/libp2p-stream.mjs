// A stream of libp2p, which is an EventTarget with send(), as a stream of the harness.

import { EventEmitter } from 'node:events'

export class Stream extends EventEmitter {
  constructor (stream) {
    super()
    this.stream = stream
    stream.addEventListener('message', ({ data }) => {
      if (data instanceof Uint8Array) this.emit('data', data)
      // The data is a list of the pieces as they were read. Joining them would be work that the library leaves to its
      // user.
      else for (const piece of data) this.emit('data', piece)
    })
    stream.addEventListener('drain', () => this.emit('drain'))
    stream.addEventListener('end', () => this.emit('end'))
  }

  write (bytes) { return this.stream.send(bytes) }
  // close() rejects if the stream is reset first, which shows by the data that did not arrive.
  end () { this.stream.close().catch(() => {}) }
  pause () { this.stream.pause() }
  resume () { this.stream.resume() }
}
