#!/usr/bin/env node
// The cost of one message to JavaScript's thread, in nanoseconds, part by part: write(), the native flush, the native
// drain and 'data'. Both ends live in this process, on a connection over loopback.
//
// The parts never run at the same time. A burst is written and flushed, and in its first 'data' event this thread
// sleeps until the mux-io thread has sent, received and decoded the rest. So the times are those of work, and not of
// waiting for the other thread. A library for benchmarks, which calls one function in a loop, could not do that.

import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { floors } from './floors.mjs'

const require = createRequire(import.meta.url)
const { MuxServer, MuxClient } = require('../..')
const { COMMAND_HEADER } = require('../../lib/boundary.js')
const engine = require('../../lib/engine.js')

const now = () => performance.now()
const NS = 1e6 // per millisecond

// A burst is as much as one flush takes: FLUSH_AT of lib/engine.js, in commands with a header each.
const BURST = 256 * 1024

// The longest message that is one 'data' wherever a read ends.
const EXACT = 16 * 1024

// In the first bursts, pages and caches are cold, and V8 has not compiled anything yet.
const WARM_UP = 100

// Milliseconds of sleep between two looks at whether a burst has arrived, and milliseconds in which the last read is
// decoded, whose bytes are counted before that.
const LOOK = 0.2
const DECODED = 0.5
const PATIENCE = 5000

const OPTIONS = {
  sizes: { type: 'string', default: '64,1024,65536' },
  bursts: { type: 'string', default: '500' },
  json: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false }
}

const USAGE = `node benchmark/micro/run.mjs [options]

      --sizes a,b     bytes of a message (default: ${OPTIONS.sizes.default})
      --bursts n      bursts of each size that count, ${WARM_UP} more before them (default: ${OPTIONS.bursts.default})
      --json file     writes the medians there
  -h, --help`

const PARTS = ['write', 'flush', 'drain', 'data', 'slab']

const sleeper = new Int32Array(new SharedArrayBuffer(4))
const sleep = (ms) => Atomics.wait(sleeper, 0, 0, ms)

/** Times the two native calls of the hot paths, and the listeners between them. */
class Probe {
  constructor (native) {
    this.reset()
    const { flush, drain } = native
    native.flush = (length) => {
      const start = now()
      const result = flush.call(native, length)
      this.flush += now() - start
      return result
    }
    native.drain = (slab, offset) => {
      const start = now()
      if (this.walked > 0) this.gaps.push(start - this.walked)
      this.walked = 0
      const count = drain.call(native, slab, offset)
      this.left = this.count = count
      this.records += count
      this.drains++
      this.drain += (this.delivering = now()) - start
      return count
    }
  }

  reset () {
    this.flush = this.drain = this.data = 0 // ms
    this.drains = 0
    this.records = 0
    this.delivered = 0 // records of the batches that `data` is of: none but 'data' is in them
    this.left = 0 // records of the batch that were not seen yet
    this.count = 0
    this.delivering = 0
    this.walked = 0 // when the last batch had been walked
    this.gaps = []
  }

  /** Does work whose time is not that of 'data'. */
  pause (work) {
    const start = now()
    work()
    this.delivering += now() - start
  }

  /** The listener of 'data'. The last one of a batch ends its walk. */
  seen () {
    if (--this.left !== 0) return
    this.walked = now()
    this.data += this.walked - this.delivering
    this.delivered += this.count
  }
}

async function connect () {
  const server = new MuxServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  // Nobody waits for 'drain' here, and the record of one would only blur a batch.
  const options = { port: server.address().port, host: '127.0.0.1', writableHighWaterMark: 2 ** 20 }
  const client = new MuxClient(options)
  const accepted = once(server, 'connection')
  await once(client, 'connect')
  const [serverConnection] = await accepted
  const arrived = once(serverConnection, 'stream')
  const stream = await new Promise((resolve) => client.connection.StreamPool.createStream({}, resolve))
  const [received] = await arrived
  return { server, client, stream, received, from: client.connection, to: serverConnection }
}

// Waits until the whole burst is in the native queue. The call must come after the burst's first 'data': this thread
// itself reads a connection that was idle, until more comes.
function awaitArrival (from, to) {
  const deadline = now() + PATIENCE
  while (to.bytesRead < from.bytesWritten) {
    if (now() > deadline) throw new Error(`a burst did not arrive within ${PATIENCE} ms`)
    sleep(LOOK)
  }
  sleep(DECODED)
}

async function measure (ends, probe, size, bursts) {
  const { stream, received, from, to } = ends
  const bytes = Buffer.alloc(size, 7)
  const count = Math.floor(BURST / (COMMAND_HEADER + (size + 3 & ~3)))
  const series = Object.fromEntries(PARTS.map((part) => [part, []]))
  let arrived = 0
  let whole
  const listener = (data) => {
    // A message of more than 16 KiB may come in parts.
    if (size <= EXACT && data.length !== size) throw new Error(`${data.length} bytes arrived instead of ${size}`)
    if (arrived === 0) probe.pause(() => awaitArrival(from, to))
    probe.seen()
    arrived += data.length
    if (arrived === count * size) setImmediate(whole)
  }
  received.on('data', listener)
  for (let burst = -WARM_UP; burst < bursts; burst++) {
    arrived = 0
    const arrival = new Promise((resolve) => { whole = resolve })
    probe.reset()
    const start = now()
    for (let i = 0; i < count; i++) stream.write(bytes)
    engine.flush()
    const write = now() - start - probe.flush
    await arrival
    if (burst < 0) continue
    const perMessage = NS / count
    series.write.push(write * perMessage)
    series.flush.push(probe.flush * perMessage)
    series.drain.push(probe.drain * perMessage)
    if (probe.delivered === probe.records) series.data.push(probe.data * perMessage)
    for (const gap of probe.gaps) series.slab.push(gap * NS * probe.drains / count)
  }
  received.removeListener('data', listener)
  return { size, count, parts: Object.fromEntries(PARTS.map((part) => [part, summary(series[part])])) }
}

function summary (values) {
  const sorted = values.sort((a, b) => a - b)
  const at = (q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0
  // The mean has what the median hides: the pauses of the garbage collector.
  const mean = sorted.reduce((sum, value) => sum + value, 0) / Math.max(1, sorted.length)
  return { median: at(0.5), p10: at(0.1), p90: at(0.9), mean }
}

const TITLES = {
  write: 'write(): checks, copy into the commands',
  flush: 'flush: the native call, encodes frames',
  drain: 'drain: the native call, copies into the slab',
  data: "'data': record walk, cut, emit",
  slab: 'between drains: a new slab'
}

const digits = (value) => value >= 1000 ? value.toFixed(0) : value.toPrecision(3)

function table (results) {
  const rows = [
    ['ns per message', ...results.map(({ size, count }) => `${size} B (bursts of ${count})`)],
    results.concat(0).map(() => '---')
  ]
  for (const part of PARTS) {
    rows.push([TITLES[part], ...results.map(({ parts }) => {
      const { median, p10, p90, mean } = parts[part]
      return `**${digits(median)}** (${digits(p10)}–${digits(p90)}, mean ${digits(mean)})`
    })])
  }
  const sum = (parts, names) => digits(names.reduce((total, name) => total + parts[name].median, 0))
  rows.push(['sender, sum', ...results.map(({ parts }) => `**${sum(parts, ['write', 'flush'])}**`)])
  rows.push(['receiver, sum', ...results.map(({ parts }) => `**${sum(parts, ['drain', 'data', 'slab'])}**`)])
  for (const name of Object.keys(results[0].floors)) {
    rows.push([`floor: ${name}`, ...results.map(({ floors }) => digits(floors[name]))])
  }
  return rows.map((row) => `| ${row.join(' | ')} |`).join('\n')
}

function whole (name, text) {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new TypeError(`--${name} wants whole numbers above 0, not ${text}`)
  return value
}

async function main () {
  const { values } = parseArgs({ options: OPTIONS })
  if (values.help) return console.log(USAGE)
  const bursts = whole('bursts', values.bursts)
  const sizes = values.sizes.split(',').map((size) => whole('sizes', size))
  if (sizes.some((size) => size > 65536)) throw new TypeError('--sizes: what is longer than 65536 is no single message')
  const ends = await connect()
  const probe = new Probe(engine.native)
  const results = []
  for (const size of sizes) {
    process.stderr.write(`${size} B …\n`)
    results.push({ ...await measure(ends, probe, size, bursts), floors: floors(size) })
  }
  console.log(`Node ${process.version}, medians of ${bursts} bursts (10th–90th percentile, mean).\n`)
  console.log(table(results))
  const record = { node: process.version, bursts, results }
  if (values.json) writeFileSync(values.json, JSON.stringify(record, null, 2) + '\n')
  ends.client.end()
  ends.server.close()
}

await main()
