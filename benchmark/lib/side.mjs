// The process of a run as a workload sees it: its adapter, its parameters, the clock, and words to the other end. Words
// travel over the parent's IPC channels, never over the connection that is being measured.

import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'

/** Nanoseconds on CLOCK_MONOTONIC: one clock for all processes of the machine, so two ends may share a stop watch. */
export function now () {
  return Number(process.hrtime.bigint())
}

// Seconds without any progress after which a run is over: far above what any library needs to send what it holds, and
// far below the time limit of the run, so that the report names what was lost and not just that time ran out.
const STALL = 10

export class Side {
  constructor (settings, adapter) {
    this.role = settings.role
    this.params = settings.params
    this.host = settings.host
    this.options = settings.options
    this.features = adapter.features
    this.adapter = adapter
    /** The counts so far, for a process that dies. A workload may set the function. */
    this.partial = () => ({})
    this._heard = new Map()
    this._waiting = new Map()
  }

  async listen (onConnection) {
    const server = await this.adapter.listen({ host: this.host, options: this.options }, onConnection)
    process.send({ type: 'listening', port: server.port })
    return server
  }

  /** Waits until the other side listens. */
  async connect () {
    this._port ??= this.hear('listening')
    return this.adapter.connect({ host: this.host, port: await this._port, options: this.options })
  }

  tell (word, value = null) {
    process.send({ type: 'word', word, value })
  }

  /** Resolves with the value that the other end told for this word, now or earlier; one value per call. */
  hear (word) {
    const heard = this._heard.get(word)
    if (heard?.length > 0) return Promise.resolve(heard.shift())
    return new Promise((resolve) => { push(this._waiting, word, resolve) })
  }

  /** Calls `listener` with every value that the other end tells for this word. */
  async hearAll (word, listener) {
    for (;;) listener(await this.hear(word))
  }

  onWord (word, value) {
    const waiting = this._waiting.get(word)
    if (waiting?.length > 0) waiting.shift()(value)
    else push(this._heard, word, value)
  }

  /** Rejects if `count()` has not changed for a while, unless `promise` settles before that. */
  async notStalled (promise, count, what) {
    let last = count()
    let since = now()
    let timer
    const stalled = new Promise((resolve, reject) => {
      timer = setInterval(() => {
        const current = count()
        if (current !== last) {
          last = current
          since = now()
        } else if (now() - since > STALL * 1e9) reject(new Error(`${what()} and then nothing for ${STALL} s`))
      }, 500)
    })
    try {
      return await Promise.race([promise, stalled])
    } finally {
      clearInterval(timer)
    }
  }

  /** The resident bytes, after the collector and the allocator have come to rest. */
  async settledMemory (interval = 200) {
    // 25 tries: long enough for finalizers and for a writer thread to let go, short enough to notice a leak.
    let last = Infinity
    for (let attempt = 0; attempt < 25; attempt++) {
      globalThis.gc()
      await sleep(interval)
      const rss = process.memoryUsage.rss()
      // 128 KiB is below anything a workload asks about.
      if (attempt >= 4 && Math.abs(rss - last) < 128 * 1024) return rss
      last = rss
    }
    return last
  }
}

function push (map, key, value) {
  const list = map.get(key)
  if (list) list.push(value)
  else map.set(key, [value])
}

export function check (condition, message) {
  if (!condition) throw new Error(message)
}
