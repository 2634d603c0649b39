'use strict'

// Connected sockets of net's that native code takes over: their descriptor, and what they have read already.
//
// This file may not: emit anything, or know what the bytes mean.

const fs = require('node:fs')
const net = require('node:net')
const { Carrier, endsOf } = require('./carrier')
const engine = require('./engine')
const { invalid, systemError } = require('./errors')
const { nativeSettings } = require('./options')

// Encryption in Node, and whatever is no socket of the system's, is read and written in JavaScript. On Windows no socket
// has a descriptor.
const isSocket = (socket) => socket instanceof net.Socket && !socket.encrypted
const hasDescriptor = (socket) => socket._handle?.fd >= 0 && fs.fstatSync(socket._handle.fd).isSocket()

/** A socket that native code will read and write, in the place of a carrier (carrier.js) until the connection starts. */
class Handover {
  constructor (socket, connection) {
    this._socket = socket
    this._connection = connection
    this._onError = (error) => { this._fail(error) }
    this.error = undefined // as that of a carrier
    connection._carrier = this
    connection._setEnds(this.ends)
    socket.on('error', this._onError)
  }

  /** Node's tls encrypts nothing on it. */
  get isEncrypted () { return false }

  get ends () { return endsOf(this._socket) }

  /** Calls `done` in a later turn: start() itself waits for the socket. */
  whenUsable (done) { process.nextTick(done) }

  /**
   * As that of a carrier, as soon as the socket is connected, and the system has what was written to it. A socket that cannot
   * be taken by then is carried.
   */
  start (settings) {
    const { _socket: socket, _connection: connection } = this
    whenTakeable(socket, (error) => {
      if (connection.destroyed && settings.refusal === undefined) return
      if (error) return this._fail(error)
      const taken = take(socket)
      socket.removeListener('error', this._onError)
      if (taken === undefined) return new Carrier(socket, connection).start(settings)
      const { server, asksForNames = false, refusal, tls } = settings
      const text = JSON.stringify({
        server, asksForNames, ends: null, refusal, connection: nativeSettings(connection._settings), tls
      })
      let number
      try {
        number = engine.native.adopt(text, taken.fd, taken.head)
      } catch (failure) {
        return this._fail(failure)
      }
      connection._carrier = null
      // The peer may reset the connection while the object is released.
      socket.on('error', () => {})
      taken.release()
      if (number < 0) connection.destroy(systemError(number, 'open'))
      else connection._start(number)
    })
  }

  _fail (error) {
    this.error = error
    if (!this._connection.destroyed) this._connection.destroy(error)
  }

  /** The connection ended before it began. */
  drop () { this._socket.destroy() }

  setNoDelay (noDelay) { this._socket.setNoDelay(noDelay) }

  setKeepAlive (enable, delay) { this._socket.setKeepAlive(enable, delay) }

  ref () {}

  unref () {}

  takeSoon () {}
}

/** What a connection is to be carried by: a socket of the system's goes to native code, if it may. */
function transportFor (duplex, connection, mayTakeOver) {
  if (mayTakeOver && isSocket(duplex) && process.platform !== 'win32') return new Handover(duplex, connection)
  return new Carrier(duplex, connection)
}

/**
 * Calls back when take() may be called: for a socket when it is connected, and the system has what was written to it, and
 * for anything else within this call. A socket that ends or fails before is an error.
 */
function whenTakeable (socket, done) {
  if (!isSocket(socket)) return done()
  const reason = refusal(socket)
  if (reason !== undefined || isSettled(socket)) return done(reason)
  // The callback comes behind the connect, and behind all that was written before.
  socket.write('', (error) => error ? done(error) : whenTakeable(socket, done))
}

const isSettled = (socket) => !socket.connecting && socket.writableLength === 0

// Why a socket can never be taken.
function refusal (socket) {
  if (socket.destroyed || socket.errored) return unusable('that is open', socket)
  if (socket.writableEnded) return unusable('whose writing half is open', socket)
  if (socket.readableEncoding !== null) return unusable('without setEncoding()', socket)
}

function unusable (which, socket) { return invalid('socket', `a socket ${which}`, socket) }

/**
 * Takes a socket from whoever has it: what it has read is read from it, its readers are removed, and it reads no more.
 * Once native code has a descriptor of its own, `release()` destroys the object, which then emits 'close'. The peer does
 * not notice, because the system closes a connection with its last descriptor.
 * @returns {{fd: number, head: Buffer, release: function}|undefined} undefined for what is no such socket; throws for a
 *   socket that cannot be taken, or not yet (see whenTakeable())
 */
function take (socket) {
  if (!isSocket(socket)) return undefined
  const reason = refusal(socket)
  if (reason !== undefined) throw reason
  if (!isSettled(socket)) throw unusable('that is connected, with nothing left to write', socket)
  if (!hasDescriptor(socket)) return undefined
  return { fd: socket._handle.fd, head: headOf(socket), release: () => { socket.destroy() } }
}

// Stops the reading, and takes what was read, and what was given back by unshift().
function headOf (socket) {
  socket.unpipe()
  socket.removeAllListeners('data').removeAllListeners('readable')
  socket.pause()
  const chunks = []
  while (socket.readableLength > 0) chunks.push(socket.read())
  // Reading from the object has told the handle to go on.
  socket._handle.readStop()
  return Buffer.concat(chunks)
}

module.exports = { take, transportFor, whenTakeable }
