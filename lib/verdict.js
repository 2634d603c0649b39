'use strict'

// The question whether a connection may come in, which a server asks its program, and the answer.
//
// This file may not: know where the connection is, or emit anything.

const context = require('./context')
const engine = require('./engine')
const { dropError } = require('./errors')
const { closeReason, wireCode } = require('./options')

// The code of QUIC for this (RFC 9000, section 20.1), for a program that has none of its own.
const CONNECTION_REFUSED = 2

/** What all who wait for an answer have in common. A class that extends this one says what follows from the answer. */
class Verdict {
  /** @param ends the addresses of both ends, in the form of native code */
  constructor (server, ends) {
    this._server = server
    this._ends = ends
    this._isDecided = false
    this._timer = undefined
    this._nameError = undefined // why there is nothing to be for the name that the client asks for
  }

  /**
   * Asks the program. Its answer may come at once or later; only the first one counts.
   * @param info what the program is told of the connection
   */
  verify (info) {
    const { _context: asyncContext, _options: { verifyConnection, connection: { handshakeTimeout } } } = this._server
    const answer = (allowed, code, reason) => {
      const refusal = allowed === true || code === undefined
        ? undefined
        : { code: wireCode(code), reason: closeReason(reason ?? '') }
      this._decide(allowed === true, undefined, refusal)
    }
    let returned
    try {
      returned = context.run(asyncContext, verifyConnection, this._server, info, answer)
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

  /** @param cause what the program threw */
  _decide (isAllowed, cause, refusal) {
    if (this._isDecided) return
    this._settle()
    if (isAllowed) this._admit()
    else this._refuse(dropError('ERR_MUX_REFUSED', cause), refusal)
  }

  // `refusal` is what the program wants the peer to be told.
  _refuse (error, refusal) {
    const { code, reason } = refusal ?? { code: CONNECTION_REFUSED, reason: 'the server refused the connection' }
    this._tell({ code, application: refusal !== undefined, reason })
    this._server._refused(this._holder, this._ends, error)
  }

  // The handshake of a connection waits to be told what to be for a name.
  _choose (number, name) {
    context.run(this._server._context, this._server._findContext, this._server, name, (error, found) => {
      if (this._isOver) return
      this._nameError = error ?? undefined
      if (error) engine.native.chooseNobody(number)
      else engine.native.choose(number, found)
    })
  }

  /** Nothing more is awaited of the program. */
  _settle () {
    this._isDecided = true
    if (this._timer !== undefined) clearTimeout(this._timer)
  }
}

function expire (verdict) {
  if (verdict._isDecided) return
  verdict._settle()
  verdict._refuse(dropError('ERR_MUX_VERIFY_TIMEOUT'))
}

module.exports = { Verdict }
