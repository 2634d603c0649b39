'use strict'

// Stands in for the addon, at the boundary and with no socket: tests queue records and read the commands that were
// flushed. Required before anything of lib/ that loads the addon.

const Module = require('node:module')
const { uncaught } = require('./events.js')

const HEAD = 12
const WORDS = 5
const BLOCKED = 14
const WITH_PAYLOAD = new Set([1, 2, 4, 14, 15, 18, 19])

class Engine {
  constructor (commands, records, results, wake) {
    Object.assign(this, { commands, records, results, wake })
    this.header = records.length - 7
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
    this.counts = [10, 20, 0, 0]
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
      const op = words[w] >>> 24
      const conn = words[w] & 0xffffff
      const argument = words[w + 2]
      const payload = WITH_PAYLOAD.has(op) ? Buffer.from(this.commands.subarray(at + HEAD, at + HEAD + argument)) : null
      this.sent.push({ op, conn, stream: words[w + 1], argument, payload })
      touched.add(conn)
      at += HEAD + (payload === null ? 0 : argument + 3 & ~3)
    }
    let count = 0
    for (const conn of touched) this.results.set([conn, this.queued.get(conn) ?? 0], 2 * count++)
    return count
  }

  // One long message, as a command in its place among the others.
  write (conn, stream, payload) {
    this.sent.push({ op: 2, conn, stream, argument: payload.length, payload: Buffer.from(payload) })
    return this.queued.get(conn) ?? 0
  }

  lend (number, slab) { this.lent.set(number, slab) }

  drain (slab, offset) {
    this.records.fill(0, this.header)
    if (this.isShort) this.records[this.header + 5] = 1
    this.isShort = false
    if (this.inLent !== null) return this.drainLent()
    this.slabs.add(slab.buffer)
    let used = 0
    let count = 0
    let needed = 0
    const most = Math.min(this.recordsAtOnce, this.header / WORDS)
    while (this.queue.length > 0 && count < most) {
      const { kind, conn, stream, payload, aux } = this.queue[0]
      if (payload.length > slab.length - offset - used) {
        needed = payload.length
        break
      }
      slab.set(payload, offset + used)
      this.records.set([kind << 24 | conn, stream, offset + used, payload.length, aux], WORDS * count++)
      used += payload.length
      this.queue.shift()
    }
    this.records.set([used, needed, this.queue.length > 0 ? 1 : 0], this.header)
    this.records[this.header + 6] = used + this.workOf * count
    return count
  }

  drainLent () {
    const { number, conn, stream, payloads, isLast } = this.inLent
    this.inLent = null
    let used = 0
    payloads.forEach((payload, index) => {
      used += this.lent.get(number).write(payload, used)
      this.records.set([1 << 24 | conn, stream, used - payload.length, payload.length, 0], WORDS * index)
    })
    this.records.set([used, 0, this.queue.length > 0 ? 1 : 0, number + 1, isLast ? 1 : 0], this.header)
    return payloads.length
  }

  // Queues a record; nobody is woken.
  push (kind, conn, stream = 0, payload = '', aux = 0) {
    if (kind === BLOCKED) this.blocks.set(conn, this.blockedEvents(conn) + 1)
    this.queue.push({ kind, conn, stream, payload: Buffer.from(payload), aux })
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

for (const name of ['connect', 'listen', 'destroy', 'release', 'releaseServer', 'closeServer', 'setRef', 'setNoDelay',
  'setKeepAlive', 'exitFlush', 'suggestCollection']) {
  Engine.prototype[name] = function (...args) {
    this.calls.push([name, ...args])
    return name === 'connect' || name === 'listen' ? this.next : 0
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
  fake.push(17, number, 0, ADDRESSES)
  fake.wake()
  fake.take()
  return { client, con: client.connection, fake, number }
}

module.exports = { ADDRESSES, Engine, connected, uncaught }
