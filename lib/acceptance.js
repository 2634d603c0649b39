'use strict'

// What becomes of a stream of the peer's: its opener learns that it is accepted, or refused. A stream has one of these until
// then.
//
// This file may not: end a stream, or know what comes on it.

const { op } = require('./boundary')
const context = require('./context')
const { isServed } = require('./half-open')
const { BOTH } = require('./stream-state')

// How long an asynchronous listener may think about refusing a stream before its opener learns that the stream is open.
const DECISION = 1000 // ms

class Acceptance {
  constructor (stream) {
    this._stream = stream
    this._timer = null // of a listener that thinks about it
  }

  /** The acknowledgement. Behind our own end there is none. */
  accept () {
    this._settle()
    const { _connection: { _link: link }, _nativeHandle: handle } = this._stream
    if (link.canSend()) link.command(op.ACCEPT, handle, 0)
  }

  refuse (code) {
    this._settle()
    const { _connection: { _link: link }, _nativeHandle: handle } = this._stream
    if (link.canSend()) link.coded(op.REFUSE, handle, code)
  }

  /** The 'stream' event is over. An asynchronous listener may still refuse the stream. */
  onAnnounced () {
    const stream = this._stream
    const mayRefuse = isServed(stream) && stream._halves === BOTH && !this._awaitsOpener()
    if (!mayRefuse) this.accept()
    // Whatever else the listener waits for may be up to the opener, too.
    else this._timer = context.later(DECISION, accept, this)
  }

  // Whether somebody waits for what the opener does only behind the acknowledgement.
  _awaitsOpener () {
    return this._stream.listenerCount('end') + this._stream.listenerCount('finish') > 0
  }

  _settle () {
    if (this._timer !== null) clearTimeout(this._timer)
    this._stream._acceptance = null
  }
}

function accept (acceptance) { acceptance.accept() }

module.exports = { Acceptance }
