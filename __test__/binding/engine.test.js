'use strict'

// The addon alone, without lib: what crosses the boundary, and that no misuse from JavaScript ends the process.

const test = require('node:test')
const assert = require('node:assert/strict')
const { Engine, VERSION } = require('../../lib/binding.js')
const { within } = require('../support/events.js')

const RECORDS = 64
const HEADER = 5 * RECORDS
const OPEN = 1
const DATA = 2
const END = 3
const ACCEPT = 5
const FORGET = 8
const MARK = 9
const CONN_END = 10
const RESET = 14
const PING = 17
const CLOSE = 18
const GOAWAY = 21
const ALL = 0xffffffff // in place of a stream: the whole connection
const KIND = { 1: 'data', 3: 'stream', 4: 'opened', 5: 'end', 6: 'closed', 8: 'mark', 9: 'peer', 16: 'connection', 17: 'connected', 18: 'finished', 19: 'error', 20: 'close', 25: 'server closed' }

const connection = {
  noDelay: true, keepAlive: false, keepAliveDelay: 0, protocol: 'legacy', peerNew: false, lowWater: 65536,
  maxMetaSize: 1 << 20, maxMetaTotal: 1 << 20, maxEndValueSize: 1 << 20, maxJsonDepth: 512, holdLimit: 1 << 18,
  streamWindow: 1 << 18, maxStreamWindow: 1 << 24, connectionWindow: 1 << 20, maxConnectionWindow: 1 << 26, maxHeld: 1 << 26,
  maxIncomingStreams: 256, maxPendingStreams: 256, maxRecordSize: 65552, idleTimeout: 0, pingInterval: 0, pingTimeout: 0, handshakeTimeout: 0,
  maxResets: 1000, maxPings: 100, maxEmptyFrames: 100000, maxUselessFrames: 1000
}
const listening = { address: '127.0.0.1', port: 0, backlog: 5, ipv6Only: false, reusePort: false, readableAll: false, writableAll: false, connection }

class Raw {
  constructor () {
    this.commands = Buffer.alloc(1 << 16)
    this.records = new Uint32Array(HEADER + 7)
    this.results = new Uint32Array(64)
    this.at = 0
    this.seen = []
    this.wanted = null
    this.engine = new Engine(this.commands, this.records, this.results, () => this.wake(), true)
    this.engine.setRef(true)
  }

  put (op, number, stream, argument = 0, payload = Buffer.alloc(0)) {
    this.commands.writeUInt32LE(op * 2 ** 24 + number, this.at)
    this.commands.writeUInt32LE(stream, this.at + 4)
    this.commands.writeUInt32LE(payload.length || argument, this.at + 8)
    payload.copy(this.commands, this.at + 12)
    this.at += 12 + (payload.length + 3 & ~3)
    return this
  }

  flush () {
    const pairs = this.engine.flush(this.at)
    this.at = 0
    return Array.from(this.results.subarray(0, 2 * pairs))
  }

  wake () {
    let slab = Buffer.alloc(100)
    for (;;) {
      const count = this.engine.drain(slab, 10)
      for (let i = 0; i < count; i++) {
        const [word, stream, at, length, aux] = this.records.subarray(5 * i, 5 * i + 5)
        const text = slab.toString('latin1', at, at + length)
        this.seen.push({ kind: KIND[word >>> 24], number: word & 0xffffff, stream, text, aux })
      }
      const [, needed, more] = this.records.subarray(HEADER)
      if (needed > 0) slab = Buffer.alloc(10 + needed)
      else if (more === 0) break
    }
    if (this.wanted) this.wanted()
  }

  // The next record of a kind; those before it are dropped.
  next (kind) {
    return within(new Promise((resolve) => {
      const look = () => {
        const i = this.seen.findIndex((record) => record.kind === kind)
        if (i === -1) return
        this.wanted = null
        resolve(this.seen.splice(0, i + 1).at(-1))
      }
      this.wanted = look
      look()
    }), `a record of kind ${kind}`)
  }
}

test('a message goes from one engine to another by commands and records', async () => {
  const server = new Raw()
  const client = new Raw()
  const listener = server.engine.listen(listening)
  const { port } = JSON.parse(server.engine.serverAddress(listener))
  const near = client.engine.connect({ addresses: [{ address: '127.0.0.1', port }], attemptTimeout: 250, connection })
  client.put(OPEN, near, 0, 0, Buffer.from('{"a":1}')).flush()
  const text = JSON.parse((await server.next('connection')).text)
  assert.equal(text.local.port, port)
  const { number: far, stream, text: meta, aux: id } = await server.next('stream')
  assert.deepEqual([meta, stream & 1, id], ['{"a":1}', 1, 255])
  server.put(ACCEPT, far, stream).flush()
  assert.equal((await client.next('opened')).aux, 255)

  const large = Buffer.alloc(30000, 'x')
  const [number, queued] = client.put(DATA, near, 0, 0, Buffer.from('hello')).put(DATA, near, 0, 0, large).flush()
  assert.equal(number, near)
  assert.ok(queued === 0 || queued >= large.length)
  assert.equal((await server.next('data')).text, 'hello')
  let got = 0
  while (got < large.length) got += (await server.next('data')).text.length
  client.put(END, near, 0).put(MARK, near, ALL, 7).put(CONN_END, near, 0).flush()
  assert.equal((await client.next('mark')).aux, 7)
  assert.equal((await server.next('end')).aux, 0)
  await server.next('closed')
  await server.next('finished')
  server.put(FORGET, far, stream).put(CONN_END, far, 0).flush()
  assert.equal((await server.next('close')).aux, 0)
  assert.equal((await client.next('close')).aux, 0)
  // Bytes read, written and queued, the peer, the wires.
  for (const [raw, number] of [[server, far], [client, near]]) assert.equal(raw.engine.stats(number).length, 5)
  server.engine.release(far)
  client.engine.release(near)
  server.engine.closeServer(listener)
  await server.next('server closed')
  server.engine.releaseServer(listener)
  for (const raw of [server, client]) raw.engine.setRef(false)
})

test('a close with a code ends a connection without an error', async () => {
  const server = new Raw()
  const client = new Raw()
  const listener = server.engine.listen(listening)
  const { port } = JSON.parse(server.engine.serverAddress(listener))
  const near = client.engine.connect({ addresses: [{ address: '127.0.0.1', port }], attemptTimeout: 250, connection })
  const { number: far } = await server.next('connection')
  await client.next('connected')
  const code = Buffer.alloc(8)
  code.writeBigUInt64LE(5n)
  client.put(OPEN, near, 0, 0, Buffer.from('{}')).put(PING, near, 0, 1).put(GOAWAY, near, 0).put(RESET, near, 0, 0, code)
  client.put(CLOSE, near, 0, 0, Buffer.concat([code, Buffer.from('enough')])).flush()
  assert.equal((await client.next('close')).aux, 0)
  assert.ok(!client.seen.some((record) => record.kind === 'error'))
  // The legacy wire has no reset: what is given up ends.
  await server.next('end')
  await server.next('finished')
  server.put(CONN_END, far, 0).flush()
  assert.equal((await server.next('close')).aux, 0)
  server.engine.closeServer(listener)
  for (const raw of [server, client]) raw.engine.setRef(false)
})

test('an error of the system comes as its negative number', () => {
  const raw = new Raw()
  const listener = raw.engine.listen(listening)
  const { port } = JSON.parse(raw.engine.serverAddress(listener))
  assert.equal(raw.engine.listen({ ...listening, port }), -98)
  raw.engine.closeServer(listener)
  raw.engine.setRef(false)
})

test('misuse throws or is ignored, and never ends the process', async () => {
  const raw = new Raw()
  assert.throws(() => raw.engine.listen({}))
  assert.throws(() => raw.engine.listen({ ...listening, address: 'not an address' }), /not an IP address/)
  for (const protocol of ['', 'QMUX', 'offer']) {
    assert.throws(() => raw.engine.listen({ ...listening, connection: { ...connection, protocol } }), /not a protocol/)
  }
  assert.throws(() => raw.engine.listen({ ...listening, connection: { ...connection, protocol: true } }))
  assert.throws(() => raw.engine.listen({ ...listening, connection: { ...connection, maxHeld: '1' } }))
  assert.throws(() => raw.engine.connect({ addresses: [{ address: 1, port: 'x' }] }))
  assert.throws(() => new Engine())
  assert.throws(() => new Engine(new Uint8Array(4), new Uint32Array(4), new Uint32Array(4), null, true))
  for (const name of ['destroy', 'release', 'closeServer', 'releaseServer', 'stats', 'serverAddress', 'setNoDelay', 'setKeepAlive']) {
    raw.engine[name](12345, true, 0)
  }
  raw.commands.fill(0xff)
  assert.equal(raw.engine.flush(raw.commands.length), 0)
  assert.equal(raw.engine.flush(raw.commands.length + 1), 0)
  for (let op = 0; op < 32; op++) {
    raw.put(op, 999, op, 4)
    assert.deepEqual(raw.flush(), [])
    raw.put(op, 999, ALL, 0, Buffer.alloc(9))
    assert.deepEqual(raw.flush(), [])
  }
  assert.equal(raw.engine.drain(Buffer.alloc(1), 5000), 0)
  // Arrays too short for anything.
  const small = new Engine(new Uint8Array(0), new Uint32Array(2), new Uint32Array(0), () => {}, true)
  assert.equal(small.drain(Buffer.alloc(10), 0), 0)
  raw.engine.setRef(false)
})

test('the addon tells its version', () => {
  assert.equal(VERSION, require('../../package.json').version)
})
