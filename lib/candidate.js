'use strict'

// A connection that native code has accepted for a server, and that waits to be let in. Native code reads and sends nothing
// on it meanwhile.
//
//   ADMISSION ──▶ in the clear: the program is asked ──▶ admitted ──▶ CONNECTION: a Connection
//          │                                        └──▶ refused
//          └────▶ in TLS: admitted to the handshake, in which a name may have to be answered (SERVERNAME)
//                              ├──▶ CONNECTION: a Connection, of which the program is asked (guest.js)
//                              └──▶ CONN_ERROR: failed
//
// This file may not: emit anything, or know what a stream is.

const { addressesOf } = require('./addresses')
const { kind: kinds } = require('./boundary')
const engine = require('./engine')
const { connectionError } = require('./errors')
const { Verdict } = require('./verdict')

const { CONNECTION, CONN_CLOSE, CONN_ERROR, KEYLOG, SERVERNAME } = kinds

class Candidate extends Verdict {
  constructor (server, number, ends) {
    super(server, ends)
    this._number = number
    this._holder = this // of a place among the server's connections
    this._isOver = false // the number may be another connection's
    engine.register(number, this)
  }

  /** Lets the connection go on, if nobody has anything against it. */
  consider () {
    // Behind a handshake there is more to decide by.
    if (this._server._asks(false)) this.verify({ ...addressesOf(this._ends), encrypted: false })
    else this._decide(true)
  }

  /** The server closes, or destroys what it has: without an event. */
  destroy () {
    if (!this._isDecided) this._settle()
    engine.native.destroy(this._number, false)
  }

  _admit () { engine.native.admit(this._number, this._server._asksForNames()) }

  _tell ({ code, application, reason }) { engine.native.refuse(this._number, code, application, reason) }

  // ---- called by the engine ----

  _record (kind, handle, offset, length) {
    if (kind === CONNECTION) {
      // What a handshake has agreed on stands beside the addresses.
      this._server._admitted(this, this._number, JSON.parse(engine.textAt(offset, length)))
    } else if (kind === KEYLOG) {
      this._server._keylog(engine.lineAt(offset, length))
    } else if (kind === SERVERNAME) {
      this._choose(this._number, engine.textAt(offset, length))
    } else if (kind === CONN_ERROR) {
      this._isOver = true
      this._server._handshakeFailed(this._ends, this._nameError ?? connectionError(engine.textAt(offset, length)))
    } else if (kind === CONN_CLOSE) {
      // The peer has left, or native code is done with a connection that was refused.
      this._isOver = true
      if (!this._isDecided) this._settle()
      engine.forget(this._number)
      this._server._connectionClosed(this)
    }
  }
}

module.exports = { Candidate }
