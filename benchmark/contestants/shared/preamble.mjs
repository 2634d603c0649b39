// What opens a stream of a protocol in which nobody hears of a stream before bytes come over it: the meta as text,
// behind its length.

import { EventEmitter } from 'node:events'
import { metaText } from './carrier.mjs'

const LENGTH = 2

export function preamble (meta) {
  const text = Buffer.from(metaText.stringify(meta))
  const bytes = Buffer.allocUnsafe(LENGTH + text.length)
  bytes.writeUInt16BE(text.length)
  text.copy(bytes, LENGTH)
  return bytes
}

/** Collects the first bytes of a stream. */
export class PreambleReader {
  constructor () { this.bytes = Buffer.alloc(0) }

  /** @returns {{ meta, rest: Buffer } | undefined} undefined while more is needed */
  read (bytes) {
    this.bytes = Buffer.concat([this.bytes, bytes])
    if (this.bytes.length < LENGTH) return undefined
    const end = LENGTH + this.bytes.readUInt16BE()
    if (this.bytes.length < end) return undefined
    return { meta: metaText.parse(this.bytes.toString('utf8', LENGTH, end)), rest: this.bytes.subarray(end) }
  }
}

// The bytes that are taken before write() says that it is enough, which is more than a write of any workload.
const MARK = 128 * 1024

/** A Web stream for each direction as a stream of the harness. */
export class WebStream extends EventEmitter {
  constructor ({ readable, writable }) {
    super()
    this.reader = readable.getReader()
    this.writer = writable.getWriter()
    this.queued = 0
    this.isPaused = false
    this.wantsDrain = false
    // What breaks a stream shows by the data that does not arrive.
    this.writer.closed.catch(() => {})
  }

  write (bytes) {
    this.queued += bytes.length
    this.writer.write(bytes).then(() => {
      this.queued -= bytes.length
      if (!this.wantsDrain || this.queued >= MARK) return
      this.wantsDrain = false
      this.emit('drain')
    }, () => {})
    this.wantsDrain = this.queued >= MARK
    return !this.wantsDrain
  }

  end () { this.writer.close().catch(() => {}) }
  pause () { this.isPaused = true }

  resume () {
    this.isPaused = false
    this.goOn?.()
  }

  /** Reads until the end. */
  async flow () {
    try {
      for (;;) {
        if (this.isPaused) await new Promise((resolve) => { this.goOn = resolve })
        const { value, done } = await this.reader.read()
        if (done) break
        if (this.isPaused) await new Promise((resolve) => { this.goOn = resolve })
        this.emit('data', value)
      }
      this.emit('end')
    } catch {
      // As above.
    }
  }

  /** Reads the preamble, and flows behind it. @returns the meta */
  async accept () {
    const head = new PreambleReader()
    for (;;) {
      const { value, done } = await this.reader.read()
      if (done) return undefined
      const found = head.read(value)
      if (found === undefined) continue
      // Behind the listener that whoever waits for the meta is about to set.
      setImmediate(() => {
        if (found.rest.length > 0) this.emit('data', found.rest)
        this.flow()
      })
      return found.meta
    }
  }
}
