'use strict'

// What programs send: bytes as they are, anything else as the bytes of its JSON text.
//
// This file may not: keep a reference to a caller's value, or send anything.

const { callerError } = require('./errors')
const { MAX_JSON } = require('./options')

/** The JSON text of a value. What has none cannot be sent. */
function stringify (value, what) {
  const text = JSON.stringify(value)
  if (text === undefined) throw callerError('ERR_MUX_INVALID_VALUE', what)
  return text
}

/** The same for what must go in one piece. */
function boundedJson (value, what) {
  const text = stringify(value, what)
  // No character takes more than three bytes: most texts need no exact count.
  if (text.length > MAX_JSON / 3) {
    const bytes = Buffer.byteLength(text)
    if (bytes > MAX_JSON) throw callerError('ERR_MUX_VALUE_TOO_LARGE', what, bytes, MAX_JSON)
  }
  return text
}

function bytesOf (view) {
  return view instanceof Uint8Array ? view : new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
}

function encodingOf (name) {
  if (!Buffer.isEncoding(name)) {
    const error = new TypeError(`Unknown encoding: ${name}`)
    error.code = 'ERR_UNKNOWN_ENCODING'
    throw error
  }
  return name
}

/**
 * What write() sends: bytes, or a string and its encoding. A string goes as JSON too, unless the caller names an
 * encoding. Throws before anything has changed.
 */
function sendable (value, encoding) {
  if (ArrayBuffer.isView(value)) return bytesOf(value)
  if (typeof value === 'string' && encoding) return { text: value, encoding: encodingOf(encoding) }
  return { text: stringify(value, 'This value'), encoding: 'utf8' }
}

module.exports = { boundedJson, sendable }
