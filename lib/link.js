'use strict'

// The link of a connection to the engine: the way that its commands take, and whether commands can be sent.
//
// This file may not: know why a command is sent, or what a stream is.

const { op } = require('./boundary')
const engine = require('./engine')
const { Marks } = require('./marks')

// The function is taken out once: a look-up in the module for each message took a tenth of the time.
const { data: sendData } = engine

class Link {
  constructor () {
    this.number = -1 // of the native connection, while there is one
    this.isOpen = false // connected and not closed
    this.hasEnded = false // end() of the connection was called: streams send nothing any more
    this._marks = new Marks()
  }

  /** Whether streams may still send. */
  canSend () { return this.isOpen && !this.hasEnded }

  command (code, handle, argument) {
    if (this.isOpen) engine.put(code, this.number, handle, argument)
  }

  /** Sends a command with a code of 64 bits, and perhaps a text behind it. */
  coded (code, handle, value, reason) {
    if (this.isOpen) engine.coded(code, this.number, handle, value, reason)
  }

  // The three methods below require an open link.

  /** @returns {number} the bytes of the text */
  text (code, handle, json) { return engine.text(code, this.number, handle, json) }

  data (handle, bytes) { sendData(this.number, handle, bytes) }

  /** @returns {number} the bytes of the string */
  string (handle, value, encoding) { return engine.string(this.number, handle, value, encoding) }

  /**
   * Calls back when the kernel has taken all that was queued before on a stream, or on all, or with the error of
   * fail().
   */
  mark (handle, done) {
    engine.put(op.MARK, this.number, handle, this._marks.add(done))
  }

  /** The kernel has taken what was queued before that mark. */
  reach (mark) { this._marks.reach(mark) }

  /** No mark will be reached any more. */
  fail (reason) { this._marks.fail(reason) }
}

module.exports = { Link }
