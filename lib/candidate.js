'use strict'

// A connection of a server's until it is let in.
//
//   arrived ──▶ in the clear: the program is asked, and native code reads and sends nothing meanwhile ──▶ admitted, or refused
//          └──▶ in TLS: the handshake, in which a name may have to be answered (SERVERNAME)
//                 ├──▶ connected: the program is asked, and the connection is paused ──▶ admitted, or refused
//                 └──▶ failed
//
// This file may not: emit anything, or know what a stream carries.

const { addressesOf } = require('./addresses')
const { kind: kinds } = require('./boundary')
const { Connection } = require('./connection')
const context = require('./context')
const engine = require('./engine')
const { connectionError, dropError } = require('./errors')
const { closeReason, wireCode } = require('./options')

const { CONNECTION, CONN_CLOSE, CONN_ERROR, KEYLOG, SERVERNAME } = kinds

// The code of QUIC for this (RFC 9000, section 20.1), for a program that has none of its own.
const CONNECTION_REFUSED = 2

class Candidate {
  /** @param ends the addresses of both ends, in the form of native code */
  constructor (server, number, ends) {
    this._server = server
    this._number = number
    this._ends = ends
    this._connection = undefined // once there is one, behind a handshake
    this._isDecided = false
    this._timer = undefined
    this._nameError = undefined // why there is nothing to be for the name that the client asks for
    this._isOver = false
    engine.register(number, this)
  }

  /** Nobody has anything against this connection, or asks again when the handshake is done. */
  admit () { engine.native.admit(this._number, this._server._asksForNames()) }

  /** Asks the program. Its answer may come at once or later; only the first one counts. */
  verify () {
    const { verifyConnection, connection: { handshakeTimeout } } = this._server._options
    const answer = (allowed, code, reason) => {
      const refusal = allowed === true || code === undefined
        ? undefined
        : { code: wireCode(code), reason: closeReason(reason ?? '') }
      this._decide(allowed === true, undefined, refusal)
    }
    let returned
    try {
      returned = context.run(this._server._context, verifyConnection, this._server, this._describe(), answer)
    } catch (error) {
      return this._decide(false, error)
    }
    if (typeof returned?.then === 'function') {
      // The decision emits events. What a listener throws is an uncaught exception, and no rejection of this promise.
      Promise.resolve(returned).then(
        (allowed) => process.nextTick(() => this._decide(allowed === true)),
        (error) => process.nextTick(() => this._decide(false, error))
      )
    } else if (returned !== undefined || verifyConnection.length < 2) {
      return this._decide(returned === true)
    }
    if (handshakeTimeout > 0 && !this._isDecided) this._timer = context.later(handshakeTimeout, expire, this)
  }

  /** What the program decides by. */
  _describe () {
    const info = { ...addressesOf(this._ends), encrypted: this._connection !== undefined }
    if (this._connection === undefined) return info
    const { authorized, authorizationError, alpnProtocol, servername } = this._connection
    const certificate = this._connection.getPeerX509Certificate()
    return { ...info, authorized, authorizationError, alpnProtocol, servername, certificate }
  }

  /** @param cause what the program threw */
  _decide (isAllowed, cause, refusal) {
    if (this._isDecided) return
    this._settle()
    if (!isAllowed) return this._refuse(dropError('ERR_MUX_REFUSED', cause), refusal)
    if (this._connection === undefined) this.admit()
    else this._server._verified(this, this._connection)
  }

  // `refusal` is what the program wants the peer to be told.
  _refuse (error, refusal) {
    const { code, reason } = refusal ?? { code: CONNECTION_REFUSED, reason: 'the server refused the connection' }
    if (this._connection === undefined) engine.native.refuse(this._number, code, refusal !== undefined, reason)
    else this._connection._refuse(code, refusal !== undefined, reason)
    this._server._refused(this, this._ends, error)
  }

  /** The server closes, or destroys what it has: without an event. */
  destroy () {
    if (!this._isDecided) this._settle()
    if (this._connection === undefined) engine.native.destroy(this._number, false)
    else this._connection.destroy()
  }

  _settle () {
    this._isDecided = true
    if (this._timer !== undefined) clearTimeout(this._timer)
  }

  // ---- called by the engine ----

  _record (kind, handle, offset, length) {
    if (kind === CONNECTION) {
      // What a handshake has agreed on stands beside the addresses.
      this._ends = JSON.parse(engine.textAt(offset, length))
      const { _server: server, _number: number, _ends: ends } = this
      if (ends.tls && server._options.verifyConnection) this._connect()
      else server._admitted(this, number, ends)
    } else if (kind === KEYLOG) {
      this._keylog(engine.lineAt(offset, length))
    } else if (kind === SERVERNAME) {
      this._choose(engine.textAt(offset, length))
    } else if (kind === CONN_ERROR) {
      if (!this._isDecided) this._settle()
      this._isOver = true
      this._server._handshakeFailed(this._ends, this._nameError ?? connectionError(engine.textAt(offset, length)))
    } else if (kind === CONN_CLOSE) {
      // The peer has left, or native code is done with a connection that was refused.
      this._isOver = true
      engine.forget(this._number)
      this._connectionClosed()
    }
  }

  // The handshake waits to be told what to be for a name.
  _choose (name) {
    context.run(this._server._context, this._server._findContext, this._server, name, (error, found) => {
      // The number may be another connection's by now.
      if (this._isOver) return
      this._nameError = error ?? undefined
      if (error) engine.native.chooseNobody(this._number)
      else engine.native.choose(this._number, found)
    })
  }

  // The handshake is done, and the program is asked. The connection is paused until the program has decided.
  _connect () {
    const { _context: context, _options: { connection: settings } } = this._server
    this._connection = new Connection(this, settings, context)
    this._connection.pause()
    this._connection._start(this._number)
    this._connection._establish(this._ends)
    this.verify()
  }

  // ---- called by the connection, whose owner this is until the program has decided ----

  _keylog (line) { this._server._keylog(line) }

  // Streams wait, as for a listener that comes late.
  _hearsStreams () { return false }

  _connectionTells () {}

  // Whoever leaves before it was let in concerns nobody.
  _connectionError () {}

  _connectionClosed () {
    if (!this._isDecided) this._settle()
    this._server._connectionClosed(this)
  }
}

function expire (candidate) {
  if (candidate._isDecided) return
  candidate._settle()
  candidate._refuse(dropError('ERR_MUX_VERIFY_TIMEOUT'))
}

module.exports = { Candidate }
