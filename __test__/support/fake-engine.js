'use strict'

// Stands in for the addon, at the boundary and with no socket: tests queue records and read the commands that were
// flushed. Required before anything of lib/ that loads the addon.

const Module = require('node:module')
const boundary = require('../../lib/boundary.js')
const { commands } = require('../../lib/boundary.json')
const { uncaught } = require('./events.js')

const { COMMAND_HEADER, NUMBER_BITS, NUMBER_MASK, RECORD_WORDS, SUMMARY_WORDS, kind, op, summary } = boundary
const WITH_PAYLOAD = new Set(commands.filter(({ payload }) => payload !== undefined).map(({ number }) => number))

class Engine {
  constructor (commands, records, results, wake) {
    Object.assign(this, { commands, records, results, wake })
    this.summary = records.length - SUMMARY_WORDS
    this.queue = []
    this.sent = [] // commands: { op, conn, stream, argument, payload }
    this.blocks = new Map() // connection: how many records of blocked streams there were
    this.queued = new Map() // connection: what a flush says is queued there
    this.calls = [] // everything but flush and drain
    this.flushes = 0
    this.slabs = new Set()
    this.lent = new Map() // number: slab
    this.isShort = false // asks for slabs at the next drain
    this.inLent = null // { number, conn, stream, payloads, isLast }: what the next drain finds in a lent slab
    this.counts = { read: 10, written: 20, queued: 0, peer: boundary.peers.UNDECIDED }
    this.workOf = 64 // what a record counts for beside its payload
    this.recordsAtOnce = Infinity // in a drain
    this.next = 0 // what connect() and listen() return
    Engine.last = this
  }

  flush (length) {
    this.flushes++
    const words = new Uint32Array(this.commands.buffer, 0, length >>> 2)
    const touched = new Set()
    for (let at = 0; at < length;) {
      const w = at >>> 2
      const op = words[w] >>> NUMBER_BITS
      const conn = words[w] & NUMBER_MASK
      const argument = words[w + 2]
      const payload = WITH_PAYLOAD.has(op) ? Buffer.from(this.commands.subarray(at + COMMAND_HEADER, at + COMMAND_HEADER + argument)) : null
      this.sent.push({ op, conn, stream: words[w + 1], argument, payload })
      touched.add(conn)
      at += COMMAND_HEADER + (payload === null ? 0 : argument + 3 & ~3)
    }
    let count = 0
    for (const conn of touched) this.results.set([conn, this.queued.get(conn) ?? 0], 2 * count++)
    return count
  }

  // One long message, as a command in its place among the others.
  write (conn, stream, payload) {
    this.sent.push({ op: op.DATA, conn, stream, argument: payload.length, payload: Buffer.from(payload) })
    return this.queued.get(conn) ?? 0
  }

  lend (number, slab) { this.lent.set(number, slab) }

  drain (slab, offset) {
    this.records.fill(0, this.summary)
    if (this.isShort) this.records[this.summary + summary.SHORT] = 1
    this.isShort = false
    if (this.inLent !== null) return this.drainLent()
    this.slabs.add(slab.buffer)
    let used = 0
    let count = 0
    let needed = 0
    const most = Math.min(this.recordsAtOnce, this.summary / RECORD_WORDS)
    while (this.queue.length > 0 && count < most) {
      const { kind, conn, stream, payload, aux } = this.queue[0]
      if (payload.length > slab.length - offset - used) {
        needed = payload.length
        break
      }
      slab.set(payload, offset + used)
      this.records.set([kind << NUMBER_BITS | conn, stream, offset + used, payload.length, aux], RECORD_WORDS * count++)
      used += payload.length
      this.queue.shift()
    }
    this.sum({ USED: used, NEEDED: needed, MORE: this.queue.length > 0 ? 1 : 0, WORK: used + this.workOf * count })
    return count
  }

  drainLent () {
    const { number, conn, stream, payloads, isLast } = this.inLent
    this.inLent = null
    let used = 0
    payloads.forEach((payload, index) => {
      used += this.lent.get(number).write(payload, used)
      const word = kind.DATA << NUMBER_BITS | conn
      this.records.set([word, stream, used - payload.length, payload.length, 0], RECORD_WORDS * index)
    })
    this.sum({ USED: used, MORE: this.queue.length > 0 ? 1 : 0, LENT: number + 1, LAST: isLast ? 1 : 0 })
    return payloads.length
  }

  sum (words) {
    for (const [name, value] of Object.entries(words)) this.records[this.summary + summary[name]] = value
  }

  // Queues a record; nobody is woken.
  push (code, conn, stream = 0, payload = '', aux = 0) {
    if (code === kind.BLOCKED) this.blocks.set(conn, this.blockedEvents(conn) + 1)
    this.queue.push({ kind: code, conn, stream, payload: Buffer.from(payload), aux })
  }

  // The commands since the last call, of one kind if `op` is given.
  take (op) {
    const taken = this.sent
    this.sent = []
    return op === undefined ? taken : taken.filter((command) => command.op === op)
  }

  blockedEvents (conn) { return this.blocks.get(conn) ?? 0 }
  waitingBytes () { return 0 }
  queuedBytes (conn) { return this.queued.get(conn) ?? 0 }
  stats () { return this.counts }
  serverAddress () { return '{"address":"::","family":"IPv6","port":1}' }
}

for (const name of ['connect', 'listen', 'admit', 'refuse', 'destroy', 'release', 'releaseServer', 'closeServer', 'setRef', 'setNoDelay',
  'setKeepAlive', 'exitFlush', 'suggestCollection']) {
  Engine.prototype[name] = function (...args) {
    const starts = name === 'connect' || name === 'listen'
    this.calls.push(starts ? [name, JSON.parse(args[0])] : [name, ...args])
    return starts ? this.next : 0
  }
}

const load = Module._load
Module._load = function (request, ...rest) {
  return /\/binding(\.js)?$/.test(request) ? { Engine } : load.call(this, request, ...rest)
}

const ADDRESSES = JSON.stringify({
  local: { address: '127.0.0.1', family: 'IPv4', port: 1 }, remote: { address: '127.0.0.2', family: 'IPv4', port: 2 }
})

// A connected client, and the fake behind it.
function connected (options = {}) {
  const { MuxClient } = require('../../lib/client')
  const client = new MuxClient({ port: 1, host: '127.0.0.1', ...options })
  const fake = Engine.last
  const number = fake.next++
  fake.push(kind.CONNECTED, number, 0, ADDRESSES)
  fake.wake()
  fake.take()
  return { client, con: client.connection, fake, number }
}

module.exports = { ADDRESSES, Engine, connected, uncaught }
