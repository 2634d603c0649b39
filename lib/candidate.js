'use strict'

// A connection that a server was asked about, until its program has decided whether it may come in. Native code reads
// and sends nothing on it meanwhile.
//
// This file may not: make a Connection, or know what a stream is.

const { addressesOf } = require('./addresses')
const { kind: kinds } = require('./boundary')
const context = require('./context')
const engine = require('./engine')
const { dropError } = require('./errors')
const { closeReason, wireCode } = require('./options')

const { CONNECTION, CONN_CLOSE } = kinds

// The code of QUIC for this (RFC 9000, section 20.1), for a program that has none of its own.
const CONNECTION_REFUSED = 2

/** What all candidates have in common. Another class says how a candidate is let in, or told why it is not. */
class Verdict {
  /** @param ends the addresses of both ends, in the form of native code */
  constructor (server, ends) {
    this._server = server
    this._ends = ends
    this._isDecided = false
    this._timer = undefined
  }

  /** Nobody has anything against this connection. */
  admit () { this._decide(true) }

  /**
   * Asks the program. Its answer may come at once or later; only the first one counts.
   * @param more what the program is told beside the addresses
   */
  verify (verifyConnection, ms, more) {
    const answer = (allowed, code, reason) => {
      const refusal = allowed === true || code === undefined
        ? undefined
        : { code: wireCode(code), reason: closeReason(reason ?? '') }
      this._decide(allowed === true, undefined, refusal)
    }
    let returned
    try {
      const info = { ...addressesOf(this._ends), encrypted: false, ...more }
      returned = context.run(this._server._context, verifyConnection, this._server, info, answer)
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
    if (ms > 0 && !this._isDecided) this._timer = context.later(ms, expire, this)
  }

  /** @param cause what the program threw */
  _decide (isAllowed, cause, refusal) {
    if (this._isDecided) return
    this._settle()
    if (isAllowed) return this._admit()
    this._refuse(dropError('ERR_MUX_REFUSED', cause), refusal)
  }

  // `refusal` is what the program wants the peer to be told.
  _refuse (error, refusal) {
    const { code, reason } = refusal ?? { code: CONNECTION_REFUSED, reason: 'the server refused the connection' }
    this._tell({ code, application: refusal !== undefined, reason })
    this._server._refused(this, this._ends, error)
  }

  _settle () {
    this._isDecided = true
    if (this._timer !== undefined) clearTimeout(this._timer)
  }
}

/** A candidate whose socket native code has accepted. */
class Candidate extends Verdict {
  constructor (server, number, ends) {
    super(server, ends)
    this._number = number
    engine.register(number, this)
  }

  /** The server closes, or destroys what it has: without an event. */
  destroy () {
    if (!this._isDecided) this._settle()
    engine.native.destroy(this._number, false)
  }

  _admit () { engine.native.admit(this._number) }

  _tell ({ code, application, reason }) { engine.native.refuse(this._number, code, application, reason) }

  // ---- called by the engine ----

  _record (kind) {
    if (kind === CONNECTION) return this._server._admitted(this, this._number, this._ends)
    if (kind !== CONN_CLOSE) return
    // The peer has left, or native code is done with a connection that was refused.
    if (!this._isDecided) this._settle()
    engine.forget(this._number)
    this._server._connectionClosed(this)
  }
}

function expire (candidate) {
  if (candidate._isDecided) return
  candidate._settle()
  candidate._refuse(dropError('ERR_MUX_VERIFY_TIMEOUT'))
}

module.exports = { Candidate, Verdict }
