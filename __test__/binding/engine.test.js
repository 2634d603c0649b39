'use strict'

// The addon alone, without lib: what crosses the boundary, and that no misuse from JavaScript ends the process.

const test = require('node:test')
const assert = require('node:assert/strict')
const { Engine, VERSION } = require('../../lib/binding.js')
const {
  COMMAND_HEADER, NUMBER_BITS, NUMBER_MASK, RECORD_WORDS, REMOTE, SUMMARY_WORDS, WHOLE, kind, op, peers, summary
} = require('../../lib/boundary.js')
const { nativeSettings, serverOptions } = require('../../lib/options.js')
const { within } = require('../support/events.js')

const RECORDS = 64
const SUMMARY = RECORD_WORDS * RECORDS

const connection = nativeSettings(serverOptions({ port: 1, protocol: 'legacy', maxJsonDepth: 100 }).connection)
const listening = {
  address: { address: '127.0.0.1', port: 0 },
  backlog: 5,
  ipv6Only: false,
  reusePort: false,
  readableAll: false,
  writableAll: false, admission: { asks: false, proxies: null },
  connection
}

class Raw {
  constructor () {
    this.commands = Buffer.alloc(1 << 16)
    this.records = new Uint32Array(SUMMARY + SUMMARY_WORDS)
    this.results = new Uint32Array(64)
    this.at = 0
    this.seen = []
    this.wanted = null
    this.engine = new Engine(this.commands, this.records, this.results, () => this.wake(), true)
    this.engine.setRef(true)
  }

  put (code, number, stream, argument = 0, payload = Buffer.alloc(0)) {
    this.commands.writeUInt32LE(code * 2 ** NUMBER_BITS + number, this.at)
    this.commands.writeUInt32LE(stream, this.at + 4)
    this.commands.writeUInt32LE(payload.length || argument, this.at + 8)
    payload.copy(this.commands, this.at + COMMAND_HEADER)
    this.at += COMMAND_HEADER + (payload.length + 3 & ~3)
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
        const [word, stream, at, length, aux] = this.records.subarray(RECORD_WORDS * i, RECORD_WORDS * (i + 1))
        const text = slab.toString('latin1', at, at + length)
        this.seen.push({ kind: word >>> NUMBER_BITS, number: word & NUMBER_MASK, stream, text, aux })
      }
      const needed = this.records[SUMMARY + summary.NEEDED]
      if (needed > 0) slab = Buffer.alloc(10 + needed)
      else if (this.records[SUMMARY + summary.MORE] === 0) break
    }
    if (this.wanted) this.wanted()
  }

  listen (options = {}) { return this.engine.listen(JSON.stringify({ ...listening, ...options })) }

  connect (port) {
    return this.engine.connect(JSON.stringify({
      addresses: [{ address: '127.0.0.1', port }], attemptTimeout: 250, connection
    }))
  }

  // The next record of a kind; those before it are dropped.
  next (wanted) {
    return within(new Promise((resolve) => {
      const look = () => {
        const i = this.seen.findIndex((record) => record.kind === wanted)
        if (i === -1) return
        this.wanted = null
        resolve(this.seen.splice(0, i + 1).at(-1))
      }
      this.wanted = look
      look()
    }), `a record of kind ${wanted}`)
  }
}

test('a message goes from one engine to another by commands and records', async () => {
  const server = new Raw()
  const client = new Raw()
  const listener = server.listen()
  const { port } = JSON.parse(server.engine.serverAddress(listener))
  const near = client.connect(port)
  client.put(op.OPEN, near, 0, 0, Buffer.from('{"a":1}')).flush()
  const text = JSON.parse((await server.next(kind.CONNECTION)).text)
  assert.equal(text.local.port, port)
  const { number: far, stream, text: meta, aux: id } = await server.next(kind.STREAM)
  assert.deepEqual([meta, stream & REMOTE, id], ['{"a":1}', REMOTE, 255])
  server.put(op.ACCEPT, far, stream).flush()
  assert.equal((await client.next(kind.OPENED)).aux, 255)

  const large = Buffer.alloc(30000, 'x')
  const [number, queued] = client.put(op.DATA, near, 0, 0, Buffer.from('hello')).put(op.DATA, near, 0, 0, large).flush()
  assert.equal(number, near)
  assert.ok(queued === 0 || queued >= large.length)
  assert.equal((await server.next(kind.DATA)).text, 'hello')
  let got = 0
  while (got < large.length) got += (await server.next(kind.DATA)).text.length
  client.put(op.END, near, 0).put(op.MARK, near, WHOLE, 7).put(op.CONN_END, near, 0).flush()
  assert.equal((await client.next(kind.MARK)).aux, 7)
  assert.equal((await server.next(kind.END)).aux, 0)
  await server.next(kind.CLOSED)
  await server.next(kind.CONN_END)
  server.put(op.FORGET, far, stream).put(op.CONN_END, far, 0).flush()
  assert.equal((await server.next(kind.CONN_CLOSE)).aux, 0)
  assert.equal((await client.next(kind.CONN_CLOSE)).aux, 0)
  for (const [raw, number] of [[server, far], [client, near]]) {
    const { read, written, queued, peer } = raw.engine.stats(number)
    assert.ok(read > 0 && written > 0)
    assert.deepEqual([queued, peer], [0, peers.OLD])
  }
  server.engine.release(far)
  client.engine.release(near)
  server.engine.closeServer(listener)
  await server.next(kind.SERVER_CLOSED)
  server.engine.releaseServer(listener)
  for (const raw of [server, client]) raw.engine.setRef(false)
})

test('a close with a code ends a connection without an error', async () => {
  const server = new Raw()
  const client = new Raw()
  const listener = server.listen()
  const { port } = JSON.parse(server.engine.serverAddress(listener))
  const near = client.connect(port)
  const { number: far } = await server.next(kind.CONNECTION)
  await client.next(kind.CONNECTED)
  const code = Buffer.alloc(8)
  code.writeBigUInt64LE(5n)
  client.put(op.OPEN, near, 0, 0, Buffer.from('{}')).put(op.PING, near, 0, 1).put(op.GOAWAY, near, 0).put(op.RESET, near, 0, 0, code)
  client.put(op.CLOSE, near, 0, 0, Buffer.concat([code, Buffer.from('enough')])).flush()
  assert.equal((await client.next(kind.CONN_CLOSE)).aux, 0)
  assert.ok(!client.seen.some((record) => record.kind === kind.CONN_ERROR))
  // The legacy wire has no reset: what is given up ends.
  await server.next(kind.END)
  await server.next(kind.CONN_END)
  server.put(op.CONN_END, far, 0).flush()
  assert.equal((await server.next(kind.CONN_CLOSE)).aux, 0)
  server.engine.closeServer(listener)
  for (const raw of [server, client]) raw.engine.setRef(false)
})

test('an error of the system comes as its negative number', () => {
  const raw = new Raw()
  const listener = raw.listen()
  const { port } = JSON.parse(raw.engine.serverAddress(listener))
  assert.equal(raw.listen({ address: { address: '127.0.0.1', port } }), -98)
  raw.engine.closeServer(listener)
  raw.engine.setRef(false)
})

test('misuse throws or is ignored, and never ends the process', async () => {
  const raw = new Raw()
  for (const text of ['', '{}', '[', 'null']) {
    assert.throws(() => raw.engine.listen(text), { code: 'InvalidArg' })
    assert.throws(() => raw.engine.connect(text), { code: 'InvalidArg' })
  }
  assert.throws(() => raw.engine.listen(listening))
  assert.throws(() => raw.listen({ address: { address: 'not an address', port: 1 } }), /not an IP address/)
  assert.throws(() => raw.listen({ address: { address: '::1', port: 65536 } }), /65536/)
  assert.throws(() => raw.listen({ another: 1 }), /unknown field `another`/)
  const choosing = (protocol) => raw.listen({ connection: { ...connection, protocol } })
  for (const protocol of ['', 'QMUX', 'offer', true]) {
    assert.throws(() => choosing({ ...connection.protocol, protocol }), { code: 'InvalidArg' })
  }
  const { qmux } = connection.protocol
  assert.throws(() => choosing({ ...connection.protocol, qmux: { ...qmux, maxHeld: '1' } }), /integer|u64/)
  assert.throws(() => choosing({ ...connection.protocol, qmux: { ...qmux, another: 1 } }), /unknown field `another`/)
  assert.throws(() => raw.engine.connect({ addresses: [] }))
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
    raw.put(op, 999, WHOLE, 0, Buffer.alloc(9))
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
