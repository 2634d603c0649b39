'use strict'

// The values that programs send: bytes as they are, and anything else as the bytes of its JSON text.
//
// This file may not: keep a reference to a caller's value, or send anything.

const { isAnyArrayBuffer, isNativeError, isSharedArrayBuffer } = require('node:util').types
const { callerError } = require('./errors')
const { MAX_JSON } = require('./options')

// Built-ins of which JSON.stringify() keeps nothing, or next to nothing: `{}` arrives, and no error tells the sender.
// They are known by the tag that Object.prototype.toString() reads, which is the same in every realm.
const WITHOUT_JSON = new Set([
  'ArrayBuffer', 'SharedArrayBuffer', 'DataView', 'Map', 'Set', 'WeakMap', 'WeakSet', 'WeakRef', 'Promise', 'RegExp',
  'Error', 'DOMException', 'Symbol', 'Generator', 'AsyncGenerator', 'Array Iterator', 'Map Iterator', 'Set Iterator',
  'Blob', 'File', 'FormData', 'Headers', 'Request', 'Response', 'URLSearchParams', 'ReadableStream', 'WritableStream',
  'TransformStream', 'CryptoKey'
].map((name) => `[object ${name}]`))

const { toString } = Object.prototype

/** Whether an object is one of those built-ins. An object with a toJSON() says itself what its JSON is. */
function isWithoutJson (value) {
  const prototype = Object.getPrototypeOf(value)
  // Nearly everything that is sent has one of these two prototypes.
  if (prototype === Object.prototype || prototype === Array.prototype) return false
  if (typeof value.toJSON === 'function') return false
  return isNativeError(value) || WITHOUT_JSON.has(toString.call(value))
}

/** The JSON text of a value. A value without a JSON text cannot be sent. */
function stringify (value, what) {
  if (typeof value === 'object' && value !== null && isWithoutJson(value)) {
    throw callerError('ERR_MUX_INVALID_VALUE', `${what}, ${toString.call(value)},`)
  }
  const text = JSON.stringify(value)
  if (text === undefined) throw callerError('ERR_MUX_INVALID_VALUE', what)
  return text
}

/** The JSON text of a value that must go in one piece. */
function boundedJson (value, what) {
  const text = stringify(value, what)
  // No character takes more than three bytes: most texts need no exact count.
  if (text.length > MAX_JSON / 3) {
    const bytes = Buffer.byteLength(text)
    if (bytes > MAX_JSON) throw callerError('ERR_MUX_VALUE_TOO_LARGE', what, bytes, MAX_JSON)
  }
  return text
}

/** Whether a value is sent as its bytes. */
function isBytes (value) {
  return ArrayBuffer.isView(value) || isAnyArrayBuffer(value)
}

function bytesOf (value) {
  if (value instanceof Uint8Array) return value
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  // Shared memory is copied here, because another thread may change it while native code reads it.
  return isSharedArrayBuffer(value) ? new Uint8Array(value).slice() : new Uint8Array(value)
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
 * The argument of write() in the form in which it is sent: bytes, or a string and its encoding. A string is sent as
 * JSON, unless the caller names an encoding. sendable() throws before anything has changed.
 */
function sendable (value, encoding) {
  if (isBytes(value)) return bytesOf(value)
  if (typeof value === 'string' && encoding) return { text: value, encoding: encodingOf(encoding) }
  return { text: stringify(value, 'This value'), encoding: 'utf8' }
}

module.exports = { boundedJson, isBytes, sendable }
