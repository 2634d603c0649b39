'use strict'

// The warnings of this package about what programs lose, each once per thread, however often it happens.
//
// This file may not: count what is lost.

const LOSSES = {
  MUX_STREAM_DISCARDED: 'A muxed stream that nobody reads was discarded: listen to \'stream\' and read every stream, ' +
    'or destroy it',
  MUX_ANSWER_LOST: 'A stream was written to after its writing half had ended by itself, so what was written is lost. ' +
    'See "Half-open streams" in docs/API.md; with allowHalfOpen no half ends by itself, and the program must end ' +
    'every stream'
}

const given = new Set()

/** @param {string} code of LOSSES */
function warnOnce (code) {
  if (given.has(code)) return
  given.add(code)
  process.emitWarning(LOSSES[code], { type: 'MuxWarning', code })
}

module.exports = { warnOnce }
