'use strict'

// A peer that knows bytes and nothing else. It stands in for version 0.1.0, as its client or as its server, and for
// attackers. It may not use the product: what it expects and sends stands in the tests as literal hex.

const net = require('node:net')
const { cleanup } = require('./cleanup.js')
const { within, nextEvent } = require('./events.js')

// '0000000a 00 04 6e756c6c' → Buffer
function hex (text) {
  const digits = text.replace(/\s+/g, '')
  if (!/^(?:[0-9a-f]{2})*$/i.test(digits)) throw new Error(`not hex: ${text}`)
  return Buffer.from(digits, 'hex')
}

// For frames in bulk and of random content; a test of a single frame writes it out.
function frame (id, type, payload = '') {
  const body = Buffer.from(payload)
  const bytes = Buffer.allocUnsafe(6 + body.length)
  bytes.writeUInt32BE(6 + body.length, 0)
  bytes[4] = id
  bytes[5] = type
  body.copy(bytes, 6)
  return bytes
}

// The offer of an end that has no other wire to offer:
// length 20, id 0, type f0, 'TSMX', no versions, nonce, no parameters
function offer (nonce = '0102030405060708') {
  return hex(`00000014 00 f0 54534d58 00 ${nonce} 00`)
}

// What an end of ours with default options says of itself in its offer, which is of version 1, and in its first record.
const PARAMETERS = '04 04 80100000  05 04 80040000  06 04 80040000  08 02 4100  c571c59429cd0845 04 80010010' +
  'f254534d58000001 01 01  f254534d58000002 01 01'
const FIRST_RECORD = `4040 ff5153300d0a0d0a 37 ${PARAMETERS}`

// Length 76, id 0, type f0, 'TSMX', one version, which is 1, nonce, 55 bytes of parameters.
function offerQmux (nonce = '0102030405060708') {
  return hex(`0000004c 00 f0 54534d58 01 01 ${nonce} 37 ${PARAMETERS}`)
}

// A legacy frame of type f1, id 0: 'TSMX', version 1, the nonce of the offer that it answers.
function switchTo (nonce) {
  return hex(`00000013 00 f1 54534d58 01 ${nonce}`)
}

// A number as QUIC writes it (RFC 9000, section 16), in its shortest form.
function varint (value) {
  const size = value < 0x40 ? 1 : value < 0x4000 ? 2 : value < 0x40000000 ? 4 : 8
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  const shortest = bytes.subarray(8 - size)
  shortest[0] |= Math.log2(size) << 6
  return shortest
}

// The number at the front of `bytes` and what stands behind it.
function readVarint (bytes) {
  const size = 1 << (bytes[0] >> 6)
  const all = bytes.subarray(0, size).reduce((sum, byte) => sum << 8n | BigInt(byte), 0n)
  // The two highest bits told the size.
  return [Number(BigInt.asUintN(8 * size - 2, all)), bytes.subarray(size)]
}

// A record of these frames.
function record (...frames) {
  const body = Buffer.concat(frames.map((each) => typeof each === 'string' ? hex(each) : each))
  return Buffer.concat([varint(body.length), body])
}

// How many numbers a frame of QMux has: of those that an end of ours sends to one of ours, besides compact ones.
const NUMBERS = { 4: 3, 5: 2, 0x10: 1, 0x11: 2, 0x12: 1, 0x14: 1, 0x15: 2, 0x16: 1, 0x3c: 1, 0x3d: 1, 0x3e: 1 }
const PINGS = ['f48c67529ef8c7bd', 'f48c67529ef8c7be']

// The frames in the body of a record: { type, numbers, data } each; of a compact one the first number is the stream.
function framesOf (body) {
  const frames = []
  while (body.length > 0) {
    const isPing = PINGS.includes(body.subarray(0, 8).toString('hex'))
    const type = isPing ? 'ping' : body[0]
    let count = isPing ? 1 : NUMBERS[type]
    const isCompact = type >= 0x38 && type <= 0x3b
    if (isCompact) count = type & 2 ? 2 : 1
    if (count === undefined) throw new Error(`a frame that no end of ours sends: ${body.toString('hex')}`)
    body = body.subarray(isPing ? 8 : 1)
    const numbers = []
    for (; count > 0; count--) {
      const [number, rest] = readVarint(body)
      numbers.push(number)
      body = rest
    }
    const length = !isCompact ? 0 : type & 2 ? numbers[1] : body.length
    frames.push({ type, numbers, data: body.subarray(0, length) })
    body = body.subarray(length)
  }
  return frames
}

class WirePeer {
  #socket
  #received = []
  #size = 0
  #wanted = 0
  #wake = () => {}
  #over = false

  constructor (socket) {
    this.#socket = socket
    this.closed = new Promise((resolve) => socket.on('close', (hadError) => {
      this.#over = true
      this.#wake()
      resolve(hadError)
    }))
    this.ended = new Promise((resolve) => socket.on('end', () => {
      this.#over = true
      this.#wake()
      resolve()
    }))
    this.error = null
    socket.on('error', (error) => { this.error = error })
    socket.on('data', (chunk) => {
      this.#received.push(chunk)
      this.#size += chunk.length
      if (this.#size >= this.#wanted) this.#wake()
    })
  }

  get socket () { return this.#socket }

  // Bytes that have come and that no call has taken yet.
  get pending () { return this.#size }

  send (bytes) {
    this.#socket.write(typeof bytes === 'string' ? hex(bytes) : bytes)
    return this
  }

  // Each byte in a segment of its own, as far as a socket without Nagle's algorithm promises it.
  async dribble (bytes) {
    this.#socket.setNoDelay(true)
    for (const byte of typeof bytes === 'string' ? hex(bytes) : bytes) {
      await new Promise((resolve) => this.#socket.write(Buffer.of(byte), resolve))
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  finish () {
    this.#socket.end()
    return this
  }

  // A FIN is what a socket sends that dies tidily, an RST what it sends otherwise.
  reset () {
    this.#socket.resetAndDestroy()
    return this
  }

  destroy () {
    this.#socket.destroy()
    return this
  }

  stopReading () {
    this.#socket.pause()
    return this
  }

  startReading () {
    this.#socket.resume()
    return this
  }

  #take (length) {
    const all = Buffer.concat(this.#received, this.#size)
    this.#size -= length
    this.#received = this.#size > 0 ? [all.subarray(length)] : []
    return all.subarray(0, length)
  }

  // The next `length` bytes.
  async bytes (length, what = `${length} bytes from the other end`) {
    while (this.#size < length) {
      if (this.#over) throw new Error(`the connection ended while waiting for ${what}; there were ${this.#size}`)
      this.#wanted = length
      await within(new Promise((resolve) => { this.#wake = resolve }), what)
    }
    return this.#take(length)
  }

  // Reads exactly as many bytes as `text` has digits for, or as there are, and compares.
  async expects (text) {
    const expected = typeof text === 'string' ? hex(text) : text
    const actual = await this.bytes(expected.length, `the bytes ${expected.toString('hex')}`)
    if (!actual.equals(expected)) {
      throw new Error(`expected on the wire ${expected.toString('hex')}, got ${actual.toString('hex')}`)
    }
  }

  // The next whole frame.
  async frame () {
    const head = await this.bytes(6, 'the header of a frame')
    const payload = await this.bytes(head.readUInt32BE(0) - 6, 'the payload of a frame')
    return { id: head[4], type: head[5], payload, text: payload.toString() }
  }

  // Reads an offer of version 1, which is all that has come; gives its nonce.
  async offerQmux () {
    const bytes = await this.bytes(76, 'an offer')
    const nonce = bytes.subarray(12, 20).toString('hex')
    if (!bytes.equals(offerQmux(nonce))) throw new Error(`no offer with default parameters: ${bytes.toString('hex')}`)
    return nonce
  }

  // The frames of the next record.
  async frames () {
    const first = await this.bytes(1, 'the size of a record')
    const size = Buffer.concat([first, await this.bytes((1 << (first[0] >> 6)) - 1, 'the size of a record')])
    return framesOf(await this.bytes(readVarint(size)[0], 'a record'))
  }

  // The next whole frame that is no offer: for tests that speak of something else.
  async frameAfterOffer () {
    const first = await this.frame()
    return first.type === 0xf0 ? this.frame() : first
  }

  // Everything until the other end has finished.
  async rest () {
    await within(Promise.race([this.ended, this.closed]), 'the end of the connection')
    return this.#take(this.#size)
  }
}

// An old client: connects to a server of ours.
async function connectWire (t, port, { host = '127.0.0.1', path, allowHalfOpen = false } = {}) {
  const socket = net.connect(path === undefined ? { port, host, allowHalfOpen } : { path, allowHalfOpen })
  const peer = new WirePeer(socket)
  cleanup(t, () => socket.destroy())
  await nextEvent(socket, 'connect')
  socket.setNoDelay(true)
  return peer
}

// An old server: `next()` gives one peer per accepted connection, in their order.
async function listenWire (t, { path, allowHalfOpen = false } = {}) {
  const waiting = []
  const peers = []
  const server = net.createServer({ allowHalfOpen }, (socket) => {
    socket.setNoDelay(true)
    const peer = new WirePeer(socket)
    cleanup(t, () => socket.destroy())
    if (waiting.length > 0) waiting.shift()(peer)
    else peers.push(peer)
  })
  cleanup(t, () => server.close())
  if (path === undefined) server.listen(0, '127.0.0.1')
  else server.listen(path)
  await nextEvent(server, 'listening')
  return {
    port: path === undefined ? server.address().port : undefined,
    next () {
      if (peers.length > 0) return Promise.resolve(peers.shift())
      return within(new Promise((resolve) => waiting.push(resolve)), 'a connection to the old server')
    }
  }
}

module.exports = {
  FIRST_RECORD,
  WirePeer,
  connectWire,
  frame,
  hex,
  listenWire,
  offer,
  offerQmux,
  record,
  switchTo,
  varint
}
