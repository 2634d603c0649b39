// node benchmark/lib/conformance.mjs [names]: checks that each contestant does what its `features` say. Each is tried
// in a process of its own that holds both ends. The check measures nothing that a report would show, and repairs
// nothing.

import { fork } from 'node:child_process'
import { readdirSync } from 'node:fs'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Sizes, Tape, follow, say } from './tape.mjs'

const HOST = '127.0.0.1'
const MIB = 1024 * 1024

const STREAMS = 20
const MESSAGES = 2000
// Milliseconds without a byte on a quiet loopback, after which nothing more will come.
const STALLED = 8000
// The limit for one contestant, milliseconds. The slowest took 25 s of it, on a machine that was busy with other
// things.
const DEADLINE = 240_000

// The number of streams at once for a contestant that knows no limit: above every default limit known of a library.
const MANY = 2000
const PARALLEL = 64

// The bytes that flow before the reader pauses, by which windows that grow with the traffic have grown.
const BEFORE_PAUSE = 32 * MIB
// The bytes that may be under way after the pause: four times the largest window in use.
const BOUND = 64 * MIB
const CAP = 256 * MIB
const CHUNK = 65536

// The most that a lossy contestant is sent, and how far the sender may be ahead of the reader.
const LOSS_SIZES = [64, 1024, 16384, 65536]
const LOSS_TOTAL = 32 * MIB
const LOSS_AHEAD = MIB
// As STALLED, for a loss that is expected.
const LOST = 1500

// The sender's overhead at an average of 4 KiB a message; far below what a byte counted twice would give.
const OVERHEAD = 1.25

/**
 * Returns both ends of a connection. The listening end is known when it has been asked for its first stream, at the
 * latest.
 */
async function connected ({ listen, connect, features }, onStream) {
  const options = features.wires ? { wire: features.wires[0] } : {}
  const accepted = []
  const server = await listen({ host: HOST, options }, (connection) => {
    accepted.push(connection)
    connection.onStream(onStream)
  })
  const client = await connect({ host: HOST, port: server.port, options })
  return {
    client,
    open: (meta) => new Promise((resolve) => client.open(meta, resolve)),
    served: () => accepted.reduce((sum, connection) => sum + connection.bytesWritten(), 0),
    close () {
      client.destroy()
      for (const connection of accepted) connection.destroy()
      server.close()
    }
  }
}

/** Waits until isDone(), or until `moved()` has not changed for a while. @returns whether isDone() */
async function settled (isDone, moved, patience = STALLED) {
  let last = moved()
  let since = performance.now()
  while (!isDone()) {
    await sleep(20)
    const now = moved()
    if (now !== last) since = performance.now()
    else if (performance.now() - since > patience) return false
    last = now
  }
  return true
}

/** Sends every message of `sizes` as write() and 'drain' allow, then ends. */
function send (stream, index) {
  const sizes = new Sizes(index)
  let at = 0
  let left = MESSAGES
  function pump () {
    while (left > 0) {
      const size = sizes.next()
      const isFlowing = stream.write(Tape.slice(index, at, size))
      at += size
      left--
      if (!isFlowing) return
    }
    stream.removeListener('drain', pump)
    stream.end()
  }
  stream.on('drain', pump)
  pump()
}

function echo (stream, data) {
  if (stream.write(data) || !stream.pause) return
  stream.pause()
  stream.once('drain', () => stream.resume())
}

/** Checks the bytes of all streams, in both directions if there are two. */
async function checkData (adapter, { problem, fact }) {
  const { features } = adapter
  const there = []
  const back = []
  const metas = []
  const pair = await connected(adapter, (stream, meta) => {
    metas.push(meta)
    there.push(follow(stream, meta?.n, features, features.duplex ? (data) => echo(stream, data) : undefined))
    if (features.duplex) stream.on('end', () => stream.end())
  })

  const started = performance.now()
  let bytes = 0
  for (let index = 0; index < STREAMS; index++) {
    bytes += Sizes.sum(index, MESSAGES)
    pair.open({ n: index, text: 'schön' }).then((stream) => {
      if (features.duplex) back.push(follow(stream, index, features))
      send(stream, index)
    })
  }
  const arrived = (tapes) => tapes.reduce((sum, tape) => sum + tape.bytes, 0)
  const areOver = (tapes) => tapes.filter(({ hasEnded }) => hasEnded).length === STREAMS
  const moved = () => arrived(there) + arrived(back)
  await settled(() => areOver(there) && (!features.duplex || areOver(back)), moved)
  fact(`${say(moved())} in ${((performance.now() - started) / 1000).toFixed(1)} s`)

  for (const [direction, tapes] of features.duplex ? [['there', there], ['back', back]] : [['there', there]]) {
    const got = arrived(tapes)
    if (tapes.length !== STREAMS) problem(`${direction}: ${tapes.length} of ${STREAMS} streams`)
    if (got !== bytes) problem(`${direction}: ${got} of ${bytes} bytes (${say(bytes - got)} missing)`)
    const ended = tapes.filter(({ hasEnded }) => hasEnded).length
    if (ended !== STREAMS) problem(`${direction}: ${ended} of ${STREAMS} streams ended`)
    const faults = tapes.flatMap(({ fault }) => fault ?? [])
    if (faults.length > 0) problem(`${direction}: ${faults.length} streams damaged, the first: ${faults[0]}`)
    if (new Set(tapes.map(({ index }) => index)).size !== tapes.length) problem(`${direction}: streams mixed up`)
  }

  if (metas.every((meta) => meta === undefined)) fact('no meta')
  else if (metas.some((meta) => meta?.text !== 'schön')) problem('a meta arrived changed')

  for (const [end, written] of [['client', pair.client.bytesWritten()], ['server', pair.served()]]) {
    if (end === 'server' && !features.duplex) continue
    const isPlausible = written >= bytes && written <= bytes * OVERHEAD
    if (isPlausible) fact(`${(written / bytes).toFixed(3)} wire bytes a byte from the ${end}`)
    else problem(`${end}.bytesWritten() is ${written} for ${bytes} bytes`)
  }
  pair.close()
}

/** Checks that a connection has room for exactly `maxStreams` streams at once, each of which carries a byte. */
async function checkStreams (adapter, { problem, fact }) {
  const { maxStreams } = adapter.features
  if (!(maxStreams > 0)) return problem(`maxStreams is ${maxStreams}`)
  const wanted = Math.min(maxStreams, MANY)
  let arrived = 0
  const pair = await connected(adapter, (stream) => stream.on('data', (data) => { arrived += data.length }))
  let opened = 0
  let started = 0
  const byte = Buffer.from([1])

  async function openMore () {
    while (started < wanted) {
      started++
      const stream = await pair.open({ n: started })
      opened++
      stream.write(byte)
    }
  }
  for (let lane = 0; lane < PARALLEL; lane++) openMore().catch((error) => problem(`opening: ${error.message}`))
  const areThere = await settled(() => arrived === wanted, () => arrived)
  if (!areThere) {
    problem(`${opened} of ${wanted} streams opened at once, ${arrived} of them carry data`)
  } else if (maxStreams === wanted) {
    let refusal = 'waits or is dropped'
    const onRefusal = (error) => { refusal = error.message }
    // Some contestants throw at once, some reject.
    process.once('unhandledRejection', onRefusal)
    try {
      pair.client.open({ n: wanted + 1 }, (stream) => stream.write(byte))
    } catch (error) {
      onRefusal(error)
    }
    if (await settled(() => arrived > wanted, () => arrived, 500)) problem(`more than ${wanted} streams can be open`)
    else fact(`${wanted} streams, one more: ${refusal}`)
  } else {
    fact(`${wanted} streams at once`)
  }
  pair.close()
}

/**
 * Checks a reader that pauses in the middle: how much the sender may still write, and whether all of it comes in the
 * end.
 */
async function checkPause (adapter, { problem, fact }) {
  const { features } = adapter
  let tape
  let accepted
  let isDue = false
  let isPaused = false
  const pair = await connected(adapter, (stream) => {
    accepted = stream
    tape = follow(stream, 0, {}, () => {
      if (!accepted.pause || isDue || tape.bytes < BEFORE_PAUSE) return
      isDue = true
      // The pause comes outside of 'data', because nerdbank-streams revokes a pause from within.
      setImmediate(() => {
        isPaused = true
        accepted.pause()
      })
    })
  })
  const stream = await pair.open({ n: 0 })
  let isFlowing = true
  let isOver = false
  let sent = 0
  stream.on('drain', () => { isFlowing = true })

  async function pump () {
    while (!isOver) {
      for (let count = 0; count < 16 && isFlowing && !isOver; count++) {
        isFlowing = stream.write(Tape.slice(0, sent, CHUNK))
        sent += CHUNK
        if (sent >= BEFORE_PAUSE + CAP) isOver = true
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
    stream.end()
  }
  const over = pump()

  await settled(() => tape !== undefined, () => 0)
  if (!accepted?.pause) {
    isOver = true
    fact('streams cannot be paused')
  } else if (!await settled(() => isPaused, () => tape.bytes)) {
    isOver = true
    problem(`stalled after ${say(tape.bytes)}, before the reader paused`)
  } else {
    const before = process.memoryUsage.rss()
    const read = tape.bytes
    await settled(() => isOver, () => sent, 1000)
    isOver = true
    const under = sent - tape.bytes
    fact(`${say(under)} taken for a paused reader, RSS +${say(Math.max(0, process.memoryUsage.rss() - before))}`)
    if (tape.bytes - read > MIB) problem(`${say(tape.bytes - read)} arrived in spite of the pause`)
    if (features.backpressure && under > BOUND) problem('claims backpressure and has none against a paused reader')
    if (!features.backpressure && under <= BOUND) problem('has backpressure against a paused reader and claims none')
    accepted.resume()
  }
  await over
  await settled(() => tape.hasEnded, () => tape.bytes)
  if (tape.bytes !== sent) problem(`${sent - tape.bytes} of ${sent} bytes are missing after the pause`)
  if (tape.fault) problem(`after the pause: ${tape.fault}`)
  if (!tape.hasEnded) problem("no 'end' after the pause")
  pair.close()
}

/** Measures how much of a stream of equal messages is lost, for the sizes that the workloads use. */
async function checkLoss (adapter, { fact }) {
  if (adapter.features.lossy === undefined) return
  for (const size of LOSS_SIZES) {
    let arrived = 0
    let isClosed = false
    const pair = await connected(adapter, (stream) => stream.on('data', (data) => { arrived += data.length }))
    pair.client.onClose(() => { isClosed = true })
    const stream = await pair.open({})
    let sent = 0
    const isNear = () => isClosed || sent - arrived < LOSS_AHEAD
    const moved = () => arrived
    // The reader paces the stream, because the contestant's own queue is not in question here.
    while (sent < LOSS_TOTAL && !isClosed && (isNear() || await settled(isNear, moved, LOST))) {
      stream.write(Tape.slice(0, sent, size))
      sent += size
    }
    await settled(() => arrived === sent, moved, LOST)
    const close = isClosed ? ', then it closed the connection' : ''
    fact(`${say(arrived)} of ${say(sent)} in writes of ${size} bytes${close}`)
    pair.close()
  }
}

const CHECKS = [['data', checkData], ['streams', checkStreams], ['pause', checkPause], ['loss', checkLoss]]

/**
 * Runs in the process of one contestant, and reports each problem and fact as it is found, since the rest may never
 * come.
 */
async function tryOne (name) {
  const tell = (kind, check) => (text) => process.send({ kind, text: `${check}: ${text}` })
  const adapter = await import(`../contestants/${name}.mjs`)
  process.send({ kind: 'lossy', text: adapter.features.lossy })
  for (const [check, run] of CHECKS) {
    const report = { problem: tell('problem', check), fact: tell('fact', check) }
    await run(adapter, report).catch((error) => report.problem(error.message))
  }
  process.send({ kind: 'over' }, () => process.exit())
}

function result (name) {
  return new Promise((resolve) => {
    const found = { problem: [], fact: [], lossy: [], over: [] }
    const child = fork(fileURLToPath(import.meta.url), ['--one', name], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    let errors = ''
    child.stderr.on('data', (text) => { errors += text })
    child.on('message', ({ kind, text }) => found[kind].push(text))
    const timer = setTimeout(() => child.kill('SIGKILL'), DEADLINE)
    child.on('close', (status, signal) => {
      clearTimeout(timer)
      const reason = /^\w*Error.*$/m.exec(errors)?.[0] ?? signal ?? `status ${status}`
      if (found.over.length === 0) found.problem.push(`died: ${reason}`)
      resolve({ problems: found.problem, facts: found.fact, lossy: found.lossy[0] })
    })
  })
}

async function main (names) {
  const all = readdirSync(new URL('../contestants/', import.meta.url))
    .flatMap((file) => file.endsWith('.mjs') ? file.slice(0, -4) : [])
  let failed = 0
  for (const name of names.length > 0 ? names : all) {
    const { problems, facts, lossy } = await result(name)
    const isGood = problems.length === 0
    if (!isGood && lossy === undefined) failed++
    console.log(`${isGood ? 'pass ' : lossy === undefined ? 'FAIL ' : 'LOSSY'} ${name}`)
    if (lossy !== undefined) console.log(`        known: ${lossy}`)
    for (const problem of problems) console.log(`      ! ${problem}`)
    for (const fact of facts) console.log(`        ${fact}`)
  }
  process.exitCode = failed > 0 ? 1 : 0
}

const [first, second] = process.argv.slice(2)
if (first === '--one') await tryOne(second)
else await main(process.argv.slice(2))
