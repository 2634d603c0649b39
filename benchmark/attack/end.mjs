// One process of the attack benchmark: the server, the neighbour, or the attackers.

import { EventEmitter, once } from 'node:events'
import { createRequire } from 'node:module'
import net from 'node:net'
import os from 'node:os'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import * as wire from './wire.mjs'

const { subject, role, kind, isPlain, port, connections, rate } = JSON.parse(process.argv[2])
const mux = () => createRequire(import.meta.url)(subject)
const HOST = '127.0.0.1'
const MESSAGE = Buffer.alloc(64, 1)
const META = Buffer.from(JSON.stringify({ list: Array.from({ length: 1000 }, (_, i) => ({ i, text: 'meta' })) }))
// The time, ms, that a connection stays which does its harm with its first bytes, and the pause before the next one.
const VISIT = 30
const PAUSE = 20
// The interval, ms, at which plain attackers write.
const TICK = 5

const ignore = () => {}

// Answers the parent's questions: { ask } with { value }.
function answer (answers) {
  process.on('message', ({ ask }) => process.send({ value: answers[ask]() }))
}

// ---- server ----

function countEvents (socket, add) {
  // A program on plain sockets does as much: an event for each message, and a parse for each line.
  const events = new EventEmitter()
  let rest = Buffer.alloc(0)
  events.on('message', add)
  events.on('line', (line) => { JSON.parse(line); add() })
  socket.on('error', ignore)
  socket.on('data', (data) => {
    if (kind === 'message') {
      for (let at = 0; at + MESSAGE.length <= data.length; at += MESSAGE.length) {
        events.emit('message', data.subarray(at, at + MESSAGE.length))
      }
      return
    }
    const bytes = rest.length > 0 ? Buffer.concat([rest, data]) : data
    let from = 0
    for (let end; (end = bytes.indexOf(10, from)) >= 0; from = end + 1) {
      events.emit('line', bytes.toString('utf8', from, end))
    }
    rest = Buffer.from(bytes.subarray(from))
  })
}

async function serve () {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  let count = 0
  const add = () => { count++ }
  let server
  if (isPlain) {
    server = net.createServer({ noDelay: true }, (socket) => {
      socket.on('error', ignore)
      socket.once('data', (data) => {
        if (data[0] === MESSAGE[0]) {
          socket.write(data)
          socket.on('data', (more) => socket.write(more))
        } else {
          countEvents(socket, add)
          socket.emit('data', data)
        }
      })
    }).listen(0, HOST)
  } else {
    server = new (mux().MuxServer)({ port: 0, host: HOST })
    server.on('connection', (connection) => connection.on('stream', (stream) => {
      if (stream.meta === 'neighbour') stream.on('data', (data) => stream.write(data))
      else if (kind === 'message') stream.on('data', add)
      else {
        add()
        stream.on('data', ignore)
      }
    }))
  }
  await once(server, 'listening')
  answer({
    mark: () => {
      delay.reset()
      count = 0
    },
    result: () => ({ count, loop: delay.percentile(99) / 1e6, longest: delay.max / 1e6, rss: process.memoryUsage().rss })
  })
  process.send({ value: server.address().port })
}

// ---- the neighbour: one message there and back at a time ----

async function visit () {
  let send
  let arrived
  if (isPlain) {
    const socket = net.connect({ port, host: HOST, noDelay: true })
    await once(socket, 'connect')
    let left = MESSAGE.length
    socket.on('data', (data) => {
      left -= data.length
      if (left > 0) return
      left = MESSAGE.length
      arrived()
    })
    send = () => socket.write(MESSAGE)
  } else {
    const client = new (mux().MuxClient)({ port, host: HOST })
    const stream = await client.StreamPool.createStream('neighbour')
    await client.connection.ping()
    stream.on('data', () => arrived())
    send = () => stream.write(MESSAGE)
  }
  let times = []
  answer({
    mark: () => { times = [] },
    result: () => {
      const sorted = times.sort((a, b) => a - b)
      const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
      return { trips: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) }
    }
  })
  process.send({ value: port })
  for (;;) {
    const start = performance.now()
    const done = new Promise((resolve) => { arrived = resolve })
    send()
    await done
    times.push(performance.now() - start)
    await sleep(1)
  }
}

// ---- attackers ----

// Writes the bytes of one event again and again. With a rate, all connections together send as many a second as reached
// our server; without one, as many as this server takes.
function repeat (bytes) {
  const socket = net.connect({ port, host: HOST })
  socket.on('error', ignore)
  socket.on('data', ignore)
  if (rate === null) {
    const many = Buffer.concat(Array(Math.ceil(16384 / bytes.length)).fill(bytes))
    const go = () => { while (socket.write(many)); }
    socket.on('connect', go)
    socket.on('drain', go)
    return
  }
  const perTick = rate / connections / 1000 * TICK
  const batch = Buffer.concat(Array(Math.ceil(perTick)).fill(bytes))
  let owed = 0
  let last = performance.now()
  const go = () => {
    const now = performance.now()
    owed += (now - last) / TICK * perTick
    last = now
    // Events that the server does not read are not made up for later.
    if (socket.writableNeedDrain) owed = 0
    for (; owed >= 1; owed -= Math.min(owed, Math.ceil(perTick))) {
      socket.write(batch.subarray(0, bytes.length * Math.min(Math.floor(owed), Math.ceil(perTick))))
    }
  }
  socket.on('connect', () => setInterval(go, TICK))
}

// Connects, writes its bytes, and leaves, again and again.
function revisit (bytes) {
  const socket = net.connect({ port, host: HOST })
  socket.on('error', ignore)
  socket.on('data', ignore)
  socket.on('connect', () => {
    socket.write(bytes)
    setTimeout(() => socket.destroy(), VISIT)
  })
  socket.on('close', () => setTimeout(revisit, PAUSE, bytes))
}

function client (start) {
  const made = new (mux().MuxClient)({ port, host: HOST })
  made.on('error', ignore)
  made.on('connect', () => start(made))
}

// Sends messages of 64 bytes as fast as credit allows.
function messages (made) {
  made.StreamPool.createStream({}, (stream) => {
    const go = () => {
      for (let i = 0; i < 1000; i++) if (!stream.write(MESSAGE)) return
      setImmediate(go)
    }
    stream.on('drain', go)
    go()
  })
}

// Keeps 64 opens under way. Each stream is ended, or reset, as soon as it is open.
function opens (made, meta, end) {
  const open = () => made.StreamPool.createStream(meta, (stream) => {
    stream.on('error', ignore)
    stream.on('close', open)
    stream.resume()
    end(stream)
  })
  for (let i = 0; i < 64; i++) open()
}

const ended = (stream) => stream.end()
const reset = (stream) => stream.reset(7)
const line = wire.lines(1)
const meta = JSON.parse(META)

// Each attack, on this package and on plain sockets.
const ATTACKS = {
  message: [() => client(messages), () => repeat(MESSAGE.map(() => 2))],
  open: [() => client((made) => opens(made, null, ended)), () => repeat(line)],
  'open-reconnect': [() => revisit(wire.opens()), () => revisit(wire.lines(256))],
  'open-legacy': [() => revisit(wire.legacyOpens()), () => revisit(wire.lines(256))],
  reset: [() => client((made) => opens(made, null, reset)), () => repeat(line)],
  'reset-reconnect': [() => revisit(wire.resets()), () => revisit(wire.lines(256))],
  'stop-reconnect': [() => revisit(wire.stops()), () => revisit(wire.lines(256))],
  meta: [() => client((made) => opens(made, meta, ended)), () => repeat(wire.lines(1, META))],
  'meta-legacy': [() => revisit(wire.legacyOpens(META, 16)), () => revisit(wire.lines(16, META))]
}

function attack () {
  // Real attackers have processors of their own. Here they get what the server and its neighbour leave.
  os.setPriority(os.constants.priority.PRIORITY_LOW)
  for (let i = 0; i < connections; i++) ATTACKS[kind][isPlain ? 1 : 0]()
  answer({ mark: ignore, result: ignore })
  process.send({ value: port })
}

const roles = { server: serve, neighbour: visit, attackers: attack }
await roles[role]()
