'use strict'

// The meta of a stream of the peer's: a JSON text until the program looks at it. Most programs look once, some never,
// and a hostile text takes many times its length when it is parsed. These functions own `_meta` and `_metaCost`, except
// for a meta that the program sets.
//
// This file may not: end a connection, except for a meta that is too costly.

const { MuxProtocolError } = require('./errors')

// A text shorter than this counts for its length only: the number of streams that may live bounds what it can become.
const SHORT = 1024

// The costs of values beside their text, in bytes and, as measured on Node 20, about as many nanoseconds: of an object
// or an array; of a name in an object (most of it time, if no name comes twice); of any other value.
const BRACKET = 64
const COLON = 128
const COMMA = 16

// The cost of a meta that is still a text.
const UNPARSED = -1

/**
 * Parses the text of a stream's meta. The meta counts against what the connection may hold until the stream has closed.
 * If that is too much, the meta is undefined, and the connection ends.
 */
function parseMeta (stream) {
  const text = stream._meta
  stream._meta = undefined
  stream._metaCost = 0
  const connection = stream._connection
  const cost = text.length < SHORT ? text.length : weigh(text)
  const budget = connection._budget
  if (!budget.canKeepMeta(cost)) {
    connection.destroy(new MuxProtocolError('ERR_MUX_JSON_TOO_LARGE', 'The peer sent a meta of ' +
      `${text.length} characters that takes about ${cost} bytes; ${budget.maxMetaTotal} are allowed in sum`))
    return
  }
  // Native code may have closed the stream already, and then the meta has no place to count for.
  if (!stream._isDone()) {
    stream._metaCost = cost
    budget.keepMeta(cost)
  }
  stream._meta = connection._parse(text)
}

/** The cost of a stream's meta, as the budget counts it. */
function costOf (stream) { return Math.max(0, stream._metaCost) }

/** The stream has closed. */
function forgetMeta (stream) {
  if (stream._metaCost === UNPARSED) return
  stream._connection._budget.dropMeta(stream._metaCost)
  stream._metaCost = 0
}

/** The number of bytes that a JSON text takes when it is parsed, about. */
function weigh (text) {
  let cost = text.length
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x22: i = endOfString(text, i); break
      case 0x5b: case 0x7b: cost += BRACKET; break
      case 0x3a: cost += COLON; break
      case 0x2c: cost += COMMA
    }
  }
  return cost
}

function endOfString (text, start) {
  let i = start + 1
  for (; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x5c) i++
    else if (code === 0x22) break
  }
  return i
}

module.exports = { SHORT, UNPARSED, costOf, forgetMeta, parseMeta, weigh }
