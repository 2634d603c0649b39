// Messages there and back, a fixed number of them outstanding. The end that asks measures the time of each.

import { checkArrived, payload, Reader } from './pattern.mjs'
import { now } from './side.mjs'
import { quantile } from './statistics.mjs'
import { openStream } from './streams.mjs'
import { cpuOf, followWindow, openWindow } from './window.mjs'

/** Answers every message. If streams have one direction, the answers come on a stream that this end opens. */
export async function answer (side, { claim } = {}) {
  await side.listen((connection) => {
    connection.onStream((stream, meta) => {
      if (claim?.(stream, meta)) return
      if (side.features.duplex) stream.on('data', (data) => stream.write(data))
      else connection.open({ back: true }, (back) => stream.on('data', (data) => back.write(data)))
    })
  })
  return followWindow(side)
}

/** The times within the window, as whole nanoseconds. */
class Times {
  constructor () {
    this.values = new Float64Array(65536)
    this.count = 0
  }

  add (time) {
    if (this.count === this.values.length) {
      const more = new Float64Array(this.count * 2)
      more.set(this.values)
      this.values = more
    }
    this.values[this.count++] = time
  }

  sorted () { return this.values.subarray(0, this.count).sort() }
}

export async function ask (side, { burden } = {}) {
  const { size, outstanding } = side.params
  const connection = await side.connect()
  const bytes = payload(size)
  const there = openStream(connection, { there: true })
  const back = side.features.duplex ? there : new Promise((resolve) => connection.onStream(resolve))
  const [out, home] = await Promise.all([there, back])
  await burden?.(connection)

  const reader = new Reader(size, false)
  const times = new Times()
  // Messages come back in the order in which they were sent, so the times of sending are a ring.
  const sentAt = new Float64Array(outstanding)
  let sent = 0
  let returned = 0
  let isMeasuring = false
  let isOver = false
  side.partial = () => ({ sent, returned })
  const done = new Promise((resolve, reject) => {
    function ping () {
      sentAt[sent++ % outstanding] = now()
      out.write(bytes)
    }
    home.on('data', (data) => {
      if (!reader.read(data)) reject(new Error(reader.fault))
      const complete = Math.floor(reader.bytes / size)
      if (returned === complete) return
      const arrivedAt = now()
      while (returned < complete) {
        const time = arrivedAt - sentAt[returned++ % outstanding]
        if (isMeasuring) times.add(time)
        if (!isOver) ping()
        else if (returned === sent) resolve()
      }
    })
    for (let index = 0; index < outstanding; index++) ping()
  })

  const begin = () => {
    isMeasuring = true
    reader.isVerifying = false
  }
  // Wrong bytes end the run at once.
  const measured = await Promise.race([openWindow(side, () => returned, begin), done])
  isMeasuring = false
  isOver = true
  await side.notStalled(done, () => returned, () => `${returned} of ${sent} messages came back`)
  checkArrived([reader], size, sent)
  const sorted = times.sorted()
  return { ...measured, count: sorted.length, p50: quantile(sorted, 0.5) / 1000, p99: quantile(sorted, 0.99) / 1000 }
}

/** `own` has the parameters of the workload. */
export function echo ({ outstanding, metrics, own }) {
  return {
    server: (side) => answer(side),
    client: (side) => ask(side),
    metrics,
    defaults: { size: 64, outstanding, warmUp: 1, seconds: 2, ...own },
    cpu: { title: 's per million round trips' },
    describe: ({ size, outstanding, seconds, warmUp }) => `Messages of ${size} bytes, ${outstanding} outstanding, ` +
      `for ${seconds} s after ${warmUp} s of warm-up; timed by the end that asks.`,
    summarize ({ server, client }) {
      if (client.count === 0) throw new Error('no message came back while it was measured')
      const rate = client.units / client.elapsed
      return { p50: client.p50, p99: client.p99, rate, ...cpuOf({ sender: client, receiver: server, rate }, 1e6) }
    }
  }
}
