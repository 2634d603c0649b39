'use strict'

// A QMux peer that knows bytes and nothing else: varints, records, frames. It stands in for attackers, and for peers that
// keep to the letter. The product is what `siege` and `besiege` set up for it, and nothing of it makes or reads bytes here.

const assert = require('node:assert/strict')
const { hex, frame: legacyFrame, connectWire } = require('./wire.js')
const { nextEvent, within, eventually, pause } = require('./events.js')
const { startServer, openClient, watchClient, openPair, MuxClient } = require('./mux.js')
const { cleanup } = require('./cleanup.js')
const { run } = require('./child.js')

const MiB = 1024 * 1024

const MAX = 2n ** 62n - 1n

// RFC 9000, section 16. `size`: more bytes than it needs.
function varint (value, size) {
  const number = BigInt(value)
  const exponent = size !== undefined ? Math.log2(size) : number < 64n ? 0 : number < 16384n ? 1 : number < 2n ** 30n ? 2 : 3
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(number)
  const out = bytes.subarray(8 - 2 ** exponent)
  out[0] |= exponent << 6
  return Buffer.from(out)
}

const join = (...parts) => Buffer.concat(parts.map((part) => Buffer.isBuffer(part) ? part : Buffer.from(part)))
const numbers = (...values) => Buffer.concat(values.map((value) => varint(value)))

function record (...frames) {
  const body = join(...frames)
  return join(varint(body.length), body)
}

const PARAMETERS = 0x3f5153300d0a0d0an
const PING = 0x348c67529ef8c7bdn

// Transport parameters by name; a value of undefined leaves one out.
const ids = {
  idleTimeout: 0x01n,
  maxData: 0x04n,
  maxStreamDataLocal: 0x05n,
  maxStreamDataRemote: 0x06n,
  maxStreamDataUni: 0x07n,
  maxStreams: 0x08n,
  maxStreamsUni: 0x09n,
  maxRecord: 0x0571c59429cd0845n,
  mapping: 0x3254534d58000001n,
  hearsUnread: 0x3254534d58000002n
}

const GENEROUS = {
  maxData: 2n ** 40n, maxStreamDataLocal: 2n ** 40n, maxStreamDataRemote: 2n ** 40n, maxStreams: 1000, mapping: 1
}

function parameter (id, value) {
  const bytes = Buffer.isBuffer(value) ? value : varint(value)
  return join(varint(id), varint(bytes.length), bytes)
}

function parameters (values = {}) {
  const all = Object.entries({ ...GENEROUS, ...values }).filter(([, value]) => value !== undefined)
  return join(...all.map(([name, value]) => parameter(ids[name], value)))
}

// Frames. `Buffer`s go into frames as they are, anything else as text.
const frames = {
  padding: (count = 1) => Buffer.alloc(count),
  parameters: (encoded = parameters()) => join(numbers(PARAMETERS, encoded.length), encoded),
  // Of our mapping: no offset. Without `length` the rest of the record is its payload.
  message: (id, payload = '', { fin = false, length = true } = {}) => {
    const body = Buffer.from(payload)
    return join([0x38 | (length ? 2 : 0) | (fin ? 1 : 0)], varint(id), length ? varint(body.length) : '', body)
  },
  stream: (id, offset, payload = '', { fin = false } = {}) => {
    const body = Buffer.from(payload)
    return join([0x0e | (fin ? 1 : 0)], numbers(id, offset, body.length), body)
  },
  // The first bytes of a stream of the opener's, and what follows.
  open: (id, meta = 'null', payload = '', options) => frames.message(id, join(varint(Buffer.byteLength(meta)), meta, payload), options),
  reset: (id, code = 0, size = 0) => numbers(0x04, id, code, size),
  stop: (id, code = 0) => numbers(0x05, id, code),
  maxData: (limit) => numbers(0x10, limit),
  maxStreamData: (id, limit) => numbers(0x11, id, limit),
  maxStreams: (limit) => numbers(0x12, limit),
  maxStreamsUni: (limit) => numbers(0x13, limit),
  dataBlocked: (limit) => numbers(0x14, limit),
  streamDataBlocked: (id, limit) => numbers(0x15, id, limit),
  streamsBlocked: (limit) => numbers(0x16, limit),
  close: (code, reason = '') => join(numbers(0x1d, code, Buffer.byteLength(reason)), reason),
  endValue: (id) => numbers(0x3c, id),
  goAway: (streams) => numbers(0x3d, streams),
  unread: (id) => numbers(0x3e, id),
  ping: (number) => numbers(PING, number),
  pong: (number) => numbers(PING + 1n, number)
}

// The n-th stream that the connecting side opens, counted from 0.
const up = (ordinal) => ordinal * 4
// The same of the listening side.
const down = (ordinal) => ordinal * 4 + 1

const NUMBERS = {
  0x00: ['padding'],
  0x04: ['reset', 'id', 'code', 'size'],
  0x05: ['stop', 'id', 'code'],
  0x10: ['maxData', 'limit'],
  0x11: ['maxStreamData', 'id', 'limit'],
  0x12: ['maxStreams', 'limit'],
  0x13: ['maxStreamsUni', 'limit'],
  0x14: ['dataBlocked', 'limit'],
  0x15: ['streamDataBlocked', 'id', 'limit'],
  0x16: ['streamsBlocked', 'limit'],
  0x3c: ['endValue', 'id'],
  0x3d: ['goAway', 'streams'],
  0x3e: ['unread', 'id'],
  [PING]: ['ping', 'number'],
  [PING + 1n]: ['pong', 'number']
}

// The frames of one record.
function decode (bytes) {
  let at = 0
  const number = () => {
    const size = 1 << (bytes[at] >> 6)
    const value = Buffer.alloc(8)
    bytes.copy(value, 8 - size, at, at + size)
    value[8 - size] &= 0x3f
    at += size
    return value.readBigUInt64BE()
  }
  const small = () => {
    const value = number()
    return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value
  }
  const take = (length) => bytes.subarray(at, at += length)
  const found = []
  while (at < bytes.length) {
    const kind = number()
    const simple = NUMBERS[kind]
    if (simple !== undefined) {
      const frame = { kind: simple[0] }
      for (const name of simple.slice(1)) frame[name] = small()
      found.push(frame)
    } else if (kind === PARAMETERS) {
      found.push({ kind: 'parameters', payload: take(small()) })
    } else if (kind === 0x1cn || kind === 0x1dn) {
      const code = small()
      if (kind === 0x1cn) number()
      found.push({ kind: 'close', application: kind === 0x1dn, code, reason: take(small()).toString() })
    } else if ((kind >= 0x08n && kind < 0x10n) || (kind >= 0x38n && kind < 0x3cn)) {
      const bits = Number(kind)
      const frame = { kind: 'stream', id: small(), fin: (bits & 1) === 1 }
      if (kind < 0x10n) frame.offset = (bits & 4) ? small() : 0
      frame.payload = take((bits & 2) ? small() : bytes.length - at)
      found.push(frame)
    } else {
      throw new Error(`a frame of type 0x${kind.toString(16)} came`)
    }
    assert.ok(at <= bytes.length, 'a frame ends within its record')
  }
  return found
}

// Speaks records over a WirePeer.
class QmuxPeer {
  #waiting = []

  constructor (wire) {
    this.wire = wire
    this.socket = wire.socket
    this.closed = wire.closed
  }

  // Each argument is a frame; all in one record.
  send (...all) {
    this.wire.send(record(...all))
    return this
  }

  // Resolves when the kernel has taken it; for what must not fill our own memory.
  write (bytes) {
    if (this.socket.destroyed) return Promise.resolve()
    return new Promise((resolve) => {
      const done = () => {
        this.socket.removeListener('close', done)
        setImmediate(resolve) // what came meanwhile is read first
      }
      this.socket.once('close', done)
      this.socket.write(bytes, done)
    })
  }

  // Nothing that comes is of interest any more, and none of it is kept.
  discard () {
    this.socket.removeAllListeners('data').resume()
    return this
  }

  // Writes the same bytes so many times, or until the connection is over.
  async pour (times, bytes) {
    for (let count = 0; count < times && !this.socket.destroyed; count++) await this.write(bytes)
  }

  async #varint () {
    const first = await this.wire.bytes(1, 'the size of a record')
    const size = 1 << (first[0] >> 6)
    const bytes = size === 1 ? first : join(first, await this.wire.bytes(size - 1, 'the size of a record'))
    return Number(bytes.readUIntBE(Math.max(0, size - 6), Math.min(size, 6)) & (size > 4 ? -1 : 2 ** (8 * size - 2) - 1))
  }

  // The next frame; with a kind, the next of that kind, whatever comes before it.
  async next (kind) {
    for (;;) {
      while (this.#waiting.length > 0) {
        const frame = this.#waiting.shift()
        if (kind === undefined || frame.kind === kind) return frame
        if (frame.kind === 'close') throw new Error(`the connection was closed with code ${frame.code}: ${frame.reason}`)
      }
      const size = await this.#varint()
      this.#waiting.push(...decode(await this.wire.bytes(size, 'a record')))
    }
  }

  // The bytes of a stream, until there are so many.
  async bytes (id, length) {
    let all = Buffer.alloc(0)
    while (all.length < length) {
      const frame = await this.next('stream')
      if (frame.id === id) all = join(all, frame.payload)
    }
    return all
  }

  // Asks for a sign of life and waits for it: all sent before has been processed by then.
  async roundTrip (number) {
    this.send(frames.ping(number))
    while ((await this.next('pong')).number !== number);
  }
}

// Our offer as an attacker writes it: length, id 0, type f0, 'TSMX', one version: 1, nonce, parameters.
function offer (encoded = parameters(), nonce = '0102030405060708') {
  return legacyFrame(0, 0xf0, join(hex('54534d58 01 01'), hex(nonce), varint(encoded.length), encoded))
}

// A switch that answers the offer with this nonce.
function switchTo (nonce) {
  return legacyFrame(0, 0xf1, join(hex('54534d58 01'), nonce))
}

// What comes first on a connection that moves from the legacy wire: the server's offer and switch.
async function readOffer (wire) {
  const offered = await wire.frame()
  assert.equal(offered.type, 0xf0)
  const nonce = offered.payload.subarray(6, 14)
  return { nonce, offered }
}

async function expectSwitch (wire, nonce = '0102030405060708') {
  const switched = await wire.frame()
  assert.equal(switched.type, 0xf1)
  assert.deepEqual(switched.payload, join(hex('54534d58 01'), hex(nonce)))
}

// Where a connection can come from: the ways to the same records.
const ROUTES = {
  'records to a server on auto': { protocol: 'auto', via: 'records' },
  'a switch to a server on auto': { protocol: 'auto', via: 'offer' },
  'records to a server on qmux': { protocol: 'qmux', via: 'records' }
}

// A client that sends one number at a time and gets it back; `check` wants it to go on as if there were nobody else.
async function neighbour (t, server, protocol) {
  const accepted = nextEvent(server, 'connection')
  const client = await openClient(t, server, { protocol })
  const [con] = await accepted
  const wrong = []
  client.on('error', (error) => wrong.push(error))
  con.on('error', (error) => wrong.push(error))
  const { creator, acceptor } = await openPair(client, con, 'neighbour')
  let sent = 0
  let stopped = false
  let timer
  const next = () => { if (!stopped) creator.write(Buffer.from(String(++sent))) }
  con.on('close', () => stopped || wrong.push(new Error("the neighbour's connection closed")))
  acceptor.on('data', (chunk) => acceptor.write(chunk))
  creator.on('data', (chunk) => {
    if (Number(chunk) !== sent) wrong.push(new Error(`${chunk} came back, ${sent} was sent`))
    timer = setTimeout(next, 1)
  })
  cleanup(t, () => {
    stopped = true
    clearTimeout(timer)
  })
  next()
  return async () => {
    const goal = sent + 3
    await eventually(() => sent >= goal || wrong.length > 0, 'the neighbour goes on')
    assert.deepEqual(wrong, [])
  }
}

// Exchanges parameters, by records at once or in band.
async function establish (wire, { via, parameters: values }) {
  const encoded = parameters(values)
  const peer = new QmuxPeer(wire)
  if (via === 'offer') {
    wire.send(offer(encoded))
    const { nonce } = await readOffer(wire)
    await expectSwitch(wire)
    wire.send(switchTo(nonce))
  }
  peer.send(frames.parameters(encoded))
  await peer.next('parameters')
  return peer
}

// A server under attack in this process, and its neighbour.
async function siege (t, { via = 'records', ...options } = {}) {
  const server = await startServer(t, { protocol: 'auto', ...options })
  server.on('error', (error) => assert.fail(error))
  const check = await neighbour(t, server, options.protocol ?? 'auto')
  const errors = new Map()
  server.on('connectionError', (error, con) => errors.set(con, error))

  // `prepare` gets the server's connection before anything is sent.
  async function connect (prepare) {
    const accepted = nextEvent(server, 'connection')
    const wire = await connectWire(t, server.address().port)
    const [con] = await accepted
    prepare?.(con)
    return { wire, con, peer: new QmuxPeer(wire), closed: new Promise((resolve) => con.once('close', (...args) => resolve(args))) }
  }

  async function open ({ parameters: values, prepare } = {}) {
    const attacker = await connect(prepare)
    attacker.peer = await establish(attacker.wire, { via, parameters: values })
    return attacker
  }

  // The application is told `code`, and that it is the peer's doing.
  async function fails ({ peer, con, closed }, code, what = code) {
    const [hadError] = await within(closed, `'close' with ${code} for ${what}`, 10_000)
    assert.deepEqual([hadError, errors.get(con)?.code, errors.get(con)?.origin], [true, code, 'peer'], what)
    await within(peer.closed, 'the attacker to be cut off')
  }

  // The same, and the attacker is told `number` by a CONNECTION_CLOSE of the protocol's.
  async function ends (attacker, number, code, what = code) {
    const told = await within(attacker.peer.next('close'), `a CONNECTION_CLOSE for ${what}`, 10_000)
    assert.deepEqual([told.code, told.application], [number, false], `${what}: ${told.reason}`)
    await fails(attacker, code, what)
  }

  // A connection of its own that sends one record of these frames and ends so.
  async function refuses (all, number, code, what) {
    const attacker = await open()
    attacker.peer.send(...[all].flat())
    await ends(attacker, number, code, what)
  }

  return { server, check, errors, connect, open, ends, fails, refuses }
}

// A server in a process of its own (see fixtures/server.js), so that its memory can be told from the attacker's.
async function besiege (t, mode, options = {}) {
  const child = run(t, 'server.js', [mode, JSON.stringify({ protocol: 'auto', ...options })], { execArgv: ['--expose-gc'] })
  const port = Number(await child.line())
  const report = () => {
    child.tell('report')
    return child.report()
  }
  const servesOthers = async () => {
    const client = await watchClient(t, new MuxClient({ port, host: '127.0.0.1', protocol: options.protocol ?? 'auto' }))
    const stream = await within(client.StreamPool.createStream('another'), 'the acknowledgement')
    await within(new Promise((resolve) => stream.end(Buffer.from('served'), resolve)), 'the end')
    client.destroy()
  }
  await servesOthers() // what only the first connection takes is taken by then
  let before = await report()
  return {
    port,
    report,
    servesOthers,
    connect: () => connectWire(t, port),
    async open ({ parameters: values, via = 'records' } = {}) {
      return establish(await connectWire(t, port), { via, parameters: values })
    },
    // From here on memory is measured.
    async measure () { before = await report() },
    // What was taken in sum is at most so many MiB; gives the report.
    async stays (limit, what) {
      const after = await report()
      const taken = (after.rss - before.rss) / MiB
      assert.ok(taken < limit, `${what}: ${taken.toFixed(1)} MiB of at most ${limit}`)
      return after
    },
    async until (predicate, what) {
      return within((async () => {
        for (;;) {
          const found = await report()
          if (predicate(found)) return found
          await pause(10)
        }
      })(), what)
    }
  }
}

// Runs a test over each way.
function everywhere (test, name, body) {
  for (const [route, options] of Object.entries(ROUTES)) test(`${name} (${route})`, (t) => body(t, options))
}

module.exports = {
  MAX,
  MiB,
  QmuxPeer,
  besiege,
  decode,
  down,
  everywhere,
  expectSwitch,
  frames,
  ids,
  join,
  numbers,
  offer,
  parameter,
  parameters,
  readOffer,
  record,
  siege,
  switchTo,
  up,
  varint
}
