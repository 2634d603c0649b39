// What a workload sees of the process it runs in: its adapter, its parameters, the clock and a word to the other end.
// Words travel over the parent's IPC channels, never over the connection that is being measured.

import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'

/** Nanoseconds on CLOCK_MONOTONIC: one clock for all processes of the machine, so two ends may share a stop watch. */
export function now () {
  return Number(process.hrtime.bigint())
}

export class Side {
  constructor (settings, adapter) {
    this.role = settings.role
    this.params = settings.params
    this.host = settings.host
    this.port = settings.port
    this.options = settings.options
    this.features = adapter.features
    this.adapter = adapter
    /** A workload may set it: what it had counted when the process died. */
    this.partial = () => ({})
    this._heard = new Map()
    this._waiting = new Map()
  }

  async listen (onConnection) {
    const server = await this.adapter.listen({ host: this.host, options: this.options }, onConnection)
    process.send({ type: 'listening', port: server.port })
    return server
  }

  connect () {
    return this.adapter.connect({ host: this.host, port: this.port, options: this.options })
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

  onWord (word, value) {
    const waiting = this._waiting.get(word)
    if (waiting?.length > 0) waiting.shift()(value)
    else push(this._heard, word, value)
  }

  /** Resident bytes once the collector and the allocator have come to rest. */
  async settledMemory () {
    // 25 tries of 200 ms: long enough for finalizers and for a writer thread to let go, short enough to notice a leak.
    let last = Infinity
    for (let attempt = 0; attempt < 25; attempt++) {
      globalThis.gc()
      await sleep(200)
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
