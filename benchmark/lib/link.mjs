// A link between the ends of a run: a process of its own that passes bytes on, in each direction half the round trip
// late and no faster than the rate. As a router does, the link keeps a queue of one round trip at full rate beside what
// is on its way, and reads no more while the queue is full. The link cannot drop, and the handshake of TCP does not
// travel through it.

import net from 'node:net'
import process from 'node:process'

// Timers are no finer than this, milliseconds. A piece that is due within it goes now; otherwise every piece would be
// late.
const GRAIN = 1

class Direction {
  constructor (source, target, { roundTrip, megabytes }) {
    this.source = source
    this.target = target
    this.delay = roundTrip / 2
    this.perByte = megabytes > 0 ? 1 / (megabytes * 1000) : 0 // milliseconds
    // Half a round trip is on its way. Without a rate, the limit is that of 1 GB/s.
    this.limit = Math.max(65536, roundTrip * 1.5 * (megabytes > 0 ? megabytes * 1000 : 1e6))
    this.line = [] // { chunk, at }, undefined as the chunk is the end
    this.first = 0
    this.held = 0
    this.freeAt = 0 // when the last byte that was read has left for the line
    this.timer = undefined
    source.on('data', (chunk) => this.take(chunk))
    source.on('end', () => this.put(undefined, Math.max(performance.now(), this.freeAt)))
    source.on('error', () => target.destroy())
    source.on('close', (hadError) => { if (hadError) target.destroy() })
    target.on('drain', () => this.pass())
  }

  take (chunk) {
    this.held += chunk.length
    if (this.held > this.limit) this.source.pause()
    this.freeAt = Math.max(performance.now(), this.freeAt) + chunk.length * this.perByte
    this.put(chunk, this.freeAt)
  }

  put (chunk, leavesAt) {
    this.line.push({ chunk, at: leavesAt + this.delay })
    if (this.timer === undefined) this.wait()
  }

  wait () {
    const { at } = this.line[this.first]
    this.timer = setTimeout(() => this.pass(), at - performance.now())
  }

  pass () {
    clearTimeout(this.timer)
    this.timer = undefined
    const { line, target } = this
    const now = performance.now() + GRAIN / 2
    while (this.first < line.length && line[this.first].at <= now) {
      if (target.writableNeedDrain) break
      const { chunk } = line[this.first]
      line[this.first++] = undefined
      if (chunk === undefined) target.end()
      else {
        target.write(chunk)
        this.held -= chunk.length
      }
    }
    if (this.first > 1024 || this.first === line.length) {
      line.splice(0, this.first)
      this.first = 0
    }
    if (this.held <= this.limit) this.source.resume()
    if (this.first < line.length && !target.writableNeedDrain) this.wait()
  }
}

/** Resolves with { port, close() } once it listens. */
export function openLink ({ host, port, ...link }) {
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = net.connect({ host, port, allowHalfOpen: true, noDelay: true })
    // Each socket is the source of one direction and the target of the other.
    new Direction(near, far, link) // eslint-disable-line no-new
    new Direction(far, near, link) // eslint-disable-line no-new
  })
  return new Promise((resolve) => {
    server.listen(0, host, () => resolve({ port: server.address().port, close: () => server.close() }))
  })
}

// As a process of a run, the link is told where the server listens, and reports where it listens itself.
if (process.send !== undefined) {
  const settings = JSON.parse(process.argv[2])
  process.on('disconnect', () => process.exit(1))
  process.on('message', async ({ word, value }) => {
    if (word !== 'listening') return
    const { port } = await openLink({ ...settings, port: value })
    process.send({ type: 'listening', port })
  })
}
