'use strict'
// A stand-in for the design of tcp-stream-muxer 0.1.0: plain JavaScript, one frame per socket write, Nagle left on.
// Written from the observed bytes and behaviour, to measure against and to play the old peer in tests.
// The product never loads this file, and nothing here may depend on the product.
//
// One deliberate improvement: a header split over two reads is carried over, because a baseline that crashes measures
// nothing. `strict: true` takes that away again and throws where 0.1.0 did.

const net = require('node:net')
const { EventEmitter } = require('node:events')
const { Stream } = require('node:stream')

const HEADER = 6
const DATA = 0
const JSON_DATA = 1
const OPEN = 2
const END = 3
const ACK = 4
// The id is one byte on the wire.
const MAX_STREAMS = 256

const NULL = Buffer.from('null')

function frame (id, type, payload) {
  const header = Buffer.allocUnsafe(HEADER)
  header.writeUInt32BE(HEADER + payload.length, 0)
  header[4] = id
  header[5] = type
  return Buffer.concat([header, payload])
}

function json (value) {
  return Buffer.from(JSON.stringify(value === undefined ? null : value))
}

class MuxStream extends Stream {
  constructor (connection, id, meta) {
    super()
    this.id = id
    this.meta = meta
    this.readable = true
    this.writable = true
    this.needDrain = false
    this.onAck = null
    this._connection = connection
  }

  write (value) {
    const payload = Buffer.isBuffer(value) ? value : json(value)
    const flowing = this._connection.socket.write(frame(this.id, DATA, payload))
    if (!flowing) this.needDrain = true
    return flowing
  }

  end (value) {
    // Freed before the frame is written: an end frame is the last one of its id, and the socket keeps the order.
    this._connection.table[this.id] = undefined
    this._connection.socket.write(frame(this.id, END, json(value)))
  }
}

class StreamPool {
  constructor () {
    this._connection = null
    this._waiting = []
  }

  createStream (meta, callback) {
    if (this._connection) this._connection.open(meta, callback)
    else this._waiting.push([meta, callback])
  }

  _attach (connection) {
    this._connection = connection
    for (const [meta, callback] of this._waiting.splice(0)) connection.open(meta, callback)
  }
}

class Connection extends EventEmitter {
  constructor (socket, { strict = false, noDelay = false } = {}) {
    super()
    this.socket = socket
    this.table = new Array(MAX_STREAMS).fill(undefined)
    this.strict = strict
    this.StreamPool = new StreamPool()
    this.StreamPool._attach(this)
    this._header = Buffer.allocUnsafe(HEADER)
    this._headerFilled = 0
    this._id = 0
    this._type = 0
    this._missing = 0 // payload bytes of the current frame still to come
    this._parts = [] // of a JSON frame only: data is passed on as it arrives
    if (noDelay) socket.setNoDelay(true)
    socket.on('data', (chunk) => this._read(chunk))
    socket.on('drain', () => this._drained())
    socket.on('end', () => this.emit('end'))
    socket.on('close', (hadError) => this.emit('close', hadError))
    // Without a listener the baseline goes on, so that a killed peer does not end a benchmark.
    socket.on('error', (error) => { if (this.listenerCount('error') > 0) this.emit('error', error) })
  }

  get bytesRead () { return this.socket.bytesRead }
  get bytesWritten () { return this.socket.bytesWritten }

  end () { this.socket.end() }
  destroy (error) { this.socket.destroy(error) }

  open (meta, callback) {
    // One table for both directions, lowest free id first: two creators collide exactly as they did in 0.1.0.
    const id = this.table.indexOf(undefined)
    if (id === -1) throw new Error('Maximum of Streams per Connection is reached (255)')
    const stream = new MuxStream(this, id, meta)
    stream.onAck = callback
    this.table[id] = stream
    this.socket.write(frame(id, OPEN, json(meta)))
  }

  _drained () {
    for (const stream of this.table) {
      if (stream !== undefined && stream.needDrain) {
        stream.needDrain = false
        stream.emit('drain')
      }
    }
  }

  _read (chunk) {
    let at = 0
    while (at < chunk.length) {
      if (this._missing === 0) {
        at = this._readHeader(chunk, at)
        if (at === -1) return
      }
      // A frame without payload is complete here and now, even at the very end of the read.
      const end = Math.min(at + this._missing, chunk.length)
      this._missing -= end - at
      this._payload(chunk.subarray(at, end))
      at = end
    }
  }

  /** Returns where the payload begins, or -1 when the chunk ends inside the header. */
  _readHeader (chunk, at) {
    let header = chunk
    let from = at
    let next = at + HEADER
    if (this._headerFilled > 0 || chunk.length - at < HEADER) {
      if (this.strict) throw new RangeError('a frame header straddles two reads')
      const take = Math.min(HEADER - this._headerFilled, chunk.length - at)
      chunk.copy(this._header, this._headerFilled, at, at + take)
      this._headerFilled += take
      if (this._headerFilled < HEADER) return -1
      this._headerFilled = 0
      header = this._header
      from = 0
      next = at + take
    }
    const length = header.readUInt32BE(from)
    if (length < HEADER) throw new RangeError(`a frame of length ${length}`)
    this._id = header[from + 4]
    this._type = header[from + 5]
    this._missing = length - HEADER
    return next
  }

  _payload (bytes) {
    if (this._type === DATA) {
      // A part without bytes in the middle of a frame is no message; an empty frame is one.
      if (bytes.length > 0 || this._missing === 0) this._live().emit('data', bytes)
      return
    }
    if (this._type > ACK) return
    if (this._missing > 0) {
      if (bytes.length > 0) this._parts.push(bytes)
      return
    }
    const text = this._parts.length === 0 ? bytes : Buffer.concat([...this._parts, bytes])
    this._parts = []
    this._control(text)
  }

  _control (text) {
    switch (this._type) {
      case JSON_DATA:
        this._live().emit('data', JSON.parse(text))
        break
      case OPEN: {
        const stream = new MuxStream(this, this._id, JSON.parse(text))
        this.table[this._id] = stream
        this.emit('stream', stream)
        this.socket.write(frame(stream.id, ACK, NULL))
        break
      }
      case END: {
        const stream = this._live()
        this.table[this._id] = undefined
        if (text.equals(NULL)) stream.emit('end')
        else stream.emit('end', text)
        break
      }
      case ACK: {
        const stream = this._live()
        const callback = stream.onAck
        stream.onAck = null
        if (callback) callback.call(stream, stream)
        break
      }
    }
  }

  _live () {
    const stream = this.table[this._id]
    if (stream === undefined) throw new Error(`a frame of type ${this._type} for stream ${this._id}, which is not open`)
    return stream
  }
}

/** options: net.Server.listen's, plus noDelay = false and strict = false. */
class MuxServer extends EventEmitter {
  constructor (options) {
    super()
    this.server = net.createServer((socket) => this.emit('connection', new Connection(socket, options)))
    this.server.on('listening', () => this.emit('listening'))
    this.server.on('error', (error) => this.emit('error', error))
    this.server.on('close', () => this.emit('close'))
    this.server.listen(options)
  }

  address () { return this.server.address() }
  close (callback) { this.server.close(callback) }
}

/** options: net.connect's, plus noDelay = false and strict = false. */
class MuxClient extends EventEmitter {
  constructor (options, callback) {
    super()
    this.connection = undefined
    this.StreamPool = new StreamPool()
    const { strict, noDelay, ...net_ } = options
    const socket = this._socket = net.connect(net_)
    socket.on('error', (error) => { if (this.listenerCount('error') > 0) this.emit('error', error) })
    socket.on('close', (hadError) => this.emit('close', hadError))
    socket.once('connect', () => {
      const connection = this.connection = new Connection(socket, { strict, noDelay })
      connection.on('stream', (stream) => this.emit('stream', stream))
      this.StreamPool._attach(connection)
      if (callback) callback()
    })
  }

  end () { this._socket.end() }
  destroy (error) { this._socket.destroy(error) }
}

module.exports = { MuxServer, MuxClient }
