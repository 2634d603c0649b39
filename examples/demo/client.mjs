// The sending process: every file of a folder over one connection, a stream for each, while a small stream keeps measuring
// its round trip.

import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { createHistogram } from 'node:perf_hooks'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { MuxClient } from '../../index.js'
import { everyTenth, fail, followParent, settings, tell } from './child.mjs'
import { list, reasonOf } from './folder.mjs'

// Between the listing and the opening a file may have become a link or a FIFO. Windows has neither flag.
const READ = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)

// Milliseconds between two pings: a hundred pings a second measure without being a load.
const PING_PAUSE = 10

let over = false

followParent()

function connect (port) {
  return new Promise((resolve) => {
    const client = new MuxClient({ host: '127.0.0.1', port }, () => resolve(client))
    client.on('error', giveUp)
    client.on('close', () => { if (!over) giveUp(new Error('the connection ended too early')) })
  })
}

function giveUp (error) {
  fail(error)
  // The connection may still be open, but nothing more will come of it.
  process.exit()
}

/** Resolves with false if there was nothing to send: such a file never becomes a stream. */
async function send (client, { name, path }, skipped) {
  let handle
  try {
    handle = await open(path, READ)
    const info = await handle.stat()
    if (!info.isFile()) throw new Error('no longer a file')
    await sendOpened(client, name, info.size, handle)
    return true
  } catch (error) {
    // If sending an open file fails, its connection has failed, and everything with it.
    if (handle !== undefined && error.message !== 'no longer a file') throw error
    skipped.push({ name, reason: reasonOf(error) })
    return false
  } finally {
    await handle?.close()
  }
}

async function sendOpened (client, name, size, handle) {
  const stream = await client.StreamPool.createStream({ kind: 'file', name, size })
  const hash = createHash('sha256')
  const source = handle.createReadStream({ autoClose: false })
  source.on('data', (chunk) => hash.update(chunk))
  let trailer
  try {
    await pipeline(source, stream, { end: false })
    trailer = { sha256: hash.digest('hex') }
  } catch (error) {
    if (stream.destroyed) throw error
    trailer = { error: reasonOf(error) }
  }
  await new Promise((resolve, reject) => stream.end(trailer, (error) => error ? reject(error) : resolve()))
}

/** Measures until stop(files) is called. That call resolves with the receiver's findings about so many files. */
async function roundTrips (client) {
  const histogram = createHistogram()
  const ping = client.StreamPool.createStream({ kind: 'ping' })
  const pong = await new Promise((resolve) => client.on('stream', resolve))
  const out = await ping
  const bytes = Buffer.alloc(4)
  let number = 0
  let began = 0n
  let last = null
  let stopped = false
  let onIdle = () => {}
  const idle = new Promise((resolve) => { onIdle = resolve })

  function measure () {
    bytes.writeUInt32BE(++number % 2 ** 32)
    began = process.hrtime.bigint()
    out.write(bytes)
  }
  pong.on('data', async (data) => {
    const took = process.hrtime.bigint() - began
    if (!data.equals(bytes)) giveUp(new Error('a ping came back changed'))
    histogram.record(took)
    last = Number(took) / 1e6
    if (!stopped) await sleep(PING_PAUSE)
    if (stopped) onIdle()
    else measure()
  })
  measure()

  const milliseconds = (percentile) => histogram.count === 0 ? null : histogram.percentile(percentile) / 1e6
  return {
    last: () => last,
    result: () => ({ count: histogram.count, p50: milliseconds(50), p99: milliseconds(99), max: histogram.max / 1e6 }),
    async stop (files) {
      stopped = true
      await idle
      // The receiver's findings come as the end value of the stream that it opened.
      const summary = new Promise((resolve) => pong.on('end', (value) => resolve(JSON.parse(value))))
      out.end({ files })
      return summary
    }
  }
}

async function main () {
  const { files, skipped } = await list(settings.folder)
  tell({ type: 'listed', files: files.length, bytes: files.reduce((sum, { size }) => sum + size, 0) })
  const client = await connect(settings.port)
  const trips = await roundTrips(client)
  const timer = everyTenth(() => tell({ type: 'rtt', last: trips.last() }))

  const began = performance.now()
  let next = 0
  let sent = 0
  async function worker () {
    while (next < files.length) {
      if (await send(client, files[next++], skipped)) sent++
    }
  }
  await Promise.all(Array.from({ length: settings.parallel }, worker))
  const received = await trips.stop(sent)
  const seconds = (performance.now() - began) / 1000
  clearInterval(timer)
  over = true

  const { bytesWritten } = client.connection
  tell({ type: 'done', sent, skipped, received, seconds, rtt: trips.result(), bytesWritten })
  client.end()
}

main().catch(giveUp)
