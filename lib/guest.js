'use strict'

// A Connection that its server has not let in yet: over a stream or a socket that the program has handed to the server, or
// behind a handshake. Until it is let in, a guest owns it in the server's place.
//
//   handed over ──▶ in the clear: the program is asked ──▶ started ──▶ connected ──▶ let in
//          └──────▶ in TLS: started ──▶ connected ──▶ the program is asked, and the connection is paused ──▶ let in
//   behind a native server's handshake ────▲
//
// This file may not: emit anything, or know what a stream carries.

const { addressesOf } = require('./addresses')
const { Verdict } = require('./verdict')

class Guest extends Verdict {
  /** @param request the HTTP request that asked for the connection, if one did */
  constructor (server, connection, ends, request) {
    super(server, ends)
    this._connection = connection
    this._holder = connection // of a place among the server's connections
    this._request = request
    this._isHanded = false // the program knows the connection
    this._isStarted = false // native code has the connection
    this._isConnected = false
    connection._owner = this
  }

  /** The program has handed the connection's stream over. The rest happens in a later turn. */
  arrive () {
    this._isHanded = true
    process.nextTick(() => {
      if (this._connection.destroyed) return
      if (this._server._asks(false)) this.verify(this._describe())
      else this._start()
    })
  }

  /** Native code has done the handshake on a socket that it accepted itself, under this number. */
  greet (number) {
    this._isStarted = true
    this._connection.pause()
    this._connection._start(number)
    if (this._connection._establish(this._ends)) this._connected()
  }

  // `refusal` is what the peer is told at once.
  _start (refusal) {
    const { _connection: connection, _server: server } = this
    this._isStarted = true
    if (server._asks(true)) connection.pause()
    connection._carrier.start({ server: server._number, asksForNames: server._asksForNames(), refusal })
  }

  /** What the program decides by. */
  _describe () {
    const connection = this._connection
    const info = { ...addressesOf(this._ends), encrypted: connection.encrypted }
    if (this._request !== undefined) info.request = this._request
    if (!this._isConnected || connection._secure === null) return info
    const { authorized, authorizationError, alpnProtocol, servername } = connection
    return { ...info, authorized, authorizationError, alpnProtocol, servername, certificate: connection.getPeerX509Certificate() }
  }

  // The duplex may have closed meanwhile, or the program may have destroyed the connection.
  _admit () {
    if (this._connection.destroyed) return
    if (!this._isStarted) return this._start()
    this._connection.resume()
    this._server._letIn(this._connection)
  }

  _refuse (error, refusal) {
    if (!this._connection.destroyed) super._refuse(error, refusal)
  }

  // The connection ends as one that the program closes with a code.
  _tell (refusal) {
    const { _connection: connection } = this
    if (this._isConnected) return connection._refuse(refusal)
    this._start(refusal)
    if (!connection.destroyed) connection._shut(null)
  }

  // ---- called by the connection, whose owner this is ----

  _connected () {
    this._isConnected = true
    if (this._server._asks(true)) this.verify(this._describe())
    else this._server._letIn(this._connection)
  }

  _keylog (line) { this._server._keylog(line) }

  _servername (name) { this._choose(this._connection._link.number, name) }

  get _isOver () { return this._connection.destroyed }

  // Streams wait, as for a listener that comes late.
  _hearsStreams () { return false }

  _connectionTells () {}

  // Whoever leaves before it was let in concerns nobody, unless the program knows it.
  _connectionError (connection, error) {
    const server = this._server
    if (this._isStarted && !this._isConnected && server._options.tls !== undefined) {
      error = this._nameError ?? error
      server._handshakeFailed(this._ends, error)
      if (connection.listenerCount('error') > 0) connection.emit('error', error)
    } else if (this._isHanded) {
      server._connectionError(connection, error)
    }
  }

  _connectionClosed (connection) {
    if (!this._isDecided) this._settle()
    this._server._connectionClosed(connection)
  }
}

module.exports = { Guest }
