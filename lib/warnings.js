'use strict'

// The warnings of this package about what programs lose: each once in a process, however often it happens.
//
// This file may not: count what is lost.

const LOSSES = {
  MUX_STREAM_DISCARDED: 'A muxed stream that nobody reads was discarded: listen to \'stream\' and read every stream, or ' +
    'destroy it',
  MUX_ANSWER_LOST: 'A stream was written to after its half had ended by itself behind the peer\'s end, and nobody gets ' +
    'what was written. docs/API.md, "Half-open streams", says when a half does; with allowHalfOpen none does, and the ' +
    'program ends every stream'
}

const given = new Set()

/** @param {string} code of LOSSES */
function warnOnce (code) {
  if (given.has(code)) return
  given.add(code)
  process.emitWarning(LOSSES[code], { type: 'MuxWarning', code })
}

module.exports = { warnOnce }
