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

// The offer of an end that knows the legacy wire only:
// length 20, id 0, type f0, 'TSMX', no versions, nonce, no parameters
function offer (nonce = '0102030405060708') {
  return hex(`00000014 00 f0 54534d58 00 ${nonce} 00`)
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

  // Reads exactly as many bytes as `text` has digits for, and gives both in one notation for an assertion.
  async expects (text) {
    const expected = hex(text)
    const actual = await this.bytes(expected.length, `the bytes ${text}`)
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

module.exports = { hex, frame, offer, WirePeer, connectWire, listenWire }
