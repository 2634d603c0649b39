'use strict'

// Every error that this package makes, in one place, and by its origin: the caller, the peer, the environment.
//
// This file may not: decide when an error happens, emit anything, or import another file of this package.

const { getSystemErrorMap } = require('node:util')

// Mistakes of the caller, and requests that come too late. The class is the one that Node uses for that kind of
// mistake.
const CALLER = {
  ERR_MUX_STREAM_LIMIT: [Error, streamLimit],
  ERR_MUX_INVALID_VALUE: [TypeError, (what) => `${what} has no JSON form and cannot be sent`],
  ERR_MUX_VALUE_TOO_LARGE: [RangeError,
    (what, bytes, limit) => `${what} takes ${bytes} bytes as JSON; at most ${limit} can be sent`],
  ERR_MUX_INVALID_ARG: [TypeError,
    (name, expected, actual) => `The "${name}" argument must be ${expected}. Received ${describe(actual)}`],
  ERR_MUX_RAW_WRITE: [Error,
    () => 'A muxed connection carries frames only: write to a stream made with StreamPool.createStream()'],
  ERR_MUX_NOT_WRITABLE: [Error,
    () => 'The peer created this stream; on the legacy wire only its creator can write to it'],
  ERR_MUX_CONNECTION_CLOSED: [Error, () => 'The connection is closed'],
  ERR_MUX_NOT_SUPPORTED: [Error, (what) => `${what} needs QMux, and this connection speaks the legacy wire`],
  ERR_MUX_NOT_SECURE: [Error, (what) => `${what} is of a server that was made with options.tls`],
  ERR_MUX_TLS_OPTION: [Error,
    (name) => `options.tls.${name} cannot be used: the TLS of this package has nothing that does the same`],
  ERR_MUX_ALREADY_ACCEPTED: [Error,
    () => 'A stream of the peer\'s can be refused only before it is used'],
  ERR_MUX_ANSWER_LOST: [Error,
    () => 'The writing half of this stream ended by itself after the peer\'s end: what is written now is lost'],
  ERR_MUX_CARRIER_CHUNK: [TypeError,
    (chunk) => `The stream that carries the connection delivered what is not bytes: ${describe(chunk)}`],
  // lib/binding.js words this message, because it knows what is missing.
  ERR_MUX_NO_BINARY: [Error, (detail) => detail]
}

// The ways in which one stream ends before its time. Either end may do so; nothing is wrong, and the connection goes
// on.
const STREAM = {
  ERR_MUX_STREAM_RESET: [(code) => `The stream was reset with code ${code}`, 'resetCode'],
  ERR_MUX_STREAM_STOPPED: [(code) => `The peer wants no more of this stream: code ${code}`, 'stopCode'],
  ERR_MUX_STREAM_REFUSED: [(code) => `The peer refused the stream with code ${code}`, 'refuseCode'],
  ERR_MUX_GOAWAY: [() => 'The peer accepts no new streams, and has not seen this one', undefined]
}

// Errors of the peer. The native side writes the message, with the numbers that were read. A text of this table is used
// if the native side gives none, and a test compares the table with the one in Rust and with docs/PROTOCOL.md.
const PEER = {
  ERR_MUX_FRAME_LENGTH: 'The peer sent a frame shorter than its header',
  ERR_MUX_FRAME_TRUNCATED: 'The peer ended the connection inside a frame',
  ERR_MUX_UNKNOWN_STREAM: 'The peer sent data, an end or an acknowledgement for a stream that does not exist',
  ERR_MUX_STREAM_IN_USE: 'The peer opened a stream with the id of one that lives',
  ERR_MUX_JSON_INVALID: 'The peer sent text that is not JSON',
  ERR_MUX_JSON_TOO_LARGE: 'The peer sent JSON above the size limit',
  ERR_MUX_JSON_TOO_DEEP: 'The peer sent JSON nested above the depth limit',
  ERR_MUX_OFFER: 'The peer sent an offer that is not allowed',
  ERR_MUX_SWITCH: 'The peer sent a switch that is not allowed',
  ERR_MUX_QMUX_START: 'The peer speaks QMux where only the legacy wire is spoken',
  ERR_MUX_NOT_QMUX: 'The peer speaks something else where only QMux is spoken',
  ERR_MUX_FLOW_CONTROL: 'The peer sent more than it was given credit for',
  ERR_MUX_STREAM_COUNT: 'The peer opened more streams than it was allowed',
  ERR_MUX_STREAM_STATE: 'The peer sent a frame that the state of its stream does not allow',
  ERR_MUX_FINAL_SIZE: 'The peer changed the final size of a stream',
  ERR_MUX_FRAME_ENCODING: 'The peer sent a malformed frame or record',
  ERR_MUX_TRANSPORT_PARAMETER: 'The peer sent transport parameters that are not allowed',
  ERR_MUX_PROTOCOL_VIOLATION: 'The peer sent what the protocol does not allow',
  ERR_MUX_FLOOD: 'The peer sent too much of what is harmless in small numbers',
  ERR_MUX_CLOSED_BY_PEER: 'The peer closed the connection with an error code',
  ERR_MUX_IDLE_TIMEOUT: 'Nothing came from the peer for too long',
  ERR_MUX_HANDSHAKE_TIMEOUT: 'The peer did not say in time which protocol it speaks',
  ERR_MUX_PING_TIMEOUT: 'The peer did not answer a ping in time',
  ERR_MUX_WRONG_PROTOCOL: 'The peer speaks another protocol'
}

// Errors of a load balancer in front of the server. Native code words them; the session, whose errors stand above, does
// not know of it.
const PROXY = {
  ERR_MUX_PROXY_HEADER: 'A trusted peer did not send a valid PROXY header'
}

// The reasons for which a server does not let a connection in. They are told by 'drop', and nobody is at fault.
const DROP = {
  ERR_MUX_MAX_CONNECTIONS: (limit) => `The server has ${limit} connections, as many as maxConnections allows`,
  ERR_MUX_MAX_CONNECTIONS_PER_ADDRESS: (limit, network) =>
    `The server has ${limit} connections from ${network}, as many as maxConnectionsPerAddress allows`,
  ERR_MUX_REFUSED: () => 'verifyConnection() did not allow the connection',
  ERR_MUX_VERIFY_TIMEOUT: () => 'verifyConnection() did not decide within handshakeTimeout'
}

// For the limit of version 0.1.0, the text is that of version 0.1.0, word for word, because programs may compare it.
// That text names the highest id. A limit that the program set is named as the program set it.
function streamLimit (limit) {
  const text = 'Maximum of Streams per Connection is reached'
  return limit === 256
    ? `${text} (255)`
    : `${text}: maxStreams is ${limit}. End or destroy streams that are done, or raise it`
}

/**
 * An error that the peer caused, by breaking the protocol or by reporting an error. It ended the connection, and
 * nothing else.
 */
class MuxProtocolError extends Error {
  constructor (code, message) {
    super(message || PEER[code] || PROXY[code] || 'The peer broke the protocol')
    this.code = code
    this.origin = 'peer'
  }

  get name () {
    return 'MuxProtocolError'
  }
}

// Values come from callers. Their text is cut, so that a mistake with a large value does not fill a log.
function describe (value) {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'function') return `function ${value.name}`
  if (typeof value === 'object') {
    const name = value.constructor && value.constructor.name
    return name ? `an instance of ${name}` : 'an object'
  }
  const text = typeof value === 'string' ? `'${value}'` : String(value)
  return `type ${typeof value} (${text.length > 28 ? `${text.slice(0, 25)}...` : text})`
}

/** @returns {Error} the error with this code of the caller's table; its message is made of the details */
function callerError (code, ...details) {
  const [Class, message] = CALLER[code]
  const error = new Class(message(...details))
  error.code = code
  return error
}

/** The error of an argument that is not what it must be. */
function invalid (name, expected, actual) { return callerError('ERR_MUX_INVALID_ARG', name, expected, actual) }

// With --frozen-intrinsics the limit is read-only.
const canLimitStacks = Object.getOwnPropertyDescriptor(Error, 'stackTraceLimit')?.writable === true

// An error that the peer causes has no caller whose stack would say anything, and Node formats the stack of an error
// that destroys a stream. For a peer that resets thousands of streams a second, that was most of the work.
function withoutStack (message) {
  if (!canLimitStacks) return new Error(message)
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return new Error(message)
  } finally {
    Error.stackTraceLimit = limit
  }
}

/** @returns {Error} the error of a stream that ended before its time; `code` is the code that came with it */
function streamError (name, code) {
  const [message, property] = STREAM[name]
  const error = withoutStack(message(code))
  error.code = name
  if (property !== undefined) error[property] = code
  return error
}

/** @returns {Error} why a server did not let a connection in; its `cause` is what the program threw, if it did */
function dropError (code, ...details) {
  const error = withoutStack(DROP[code](...details))
  error.code = code
  if (code === 'ERR_MUX_REFUSED' && details[0] !== undefined) error.cause = details[0]
  return error
}

// The code of a defect of this package's own.
const INTERNAL = 'ERR_MUX_INTERNAL'

const UNKNOWN = ['UNKNOWN', 'unknown error']

function systemName (errno) {
  return getSystemErrorMap().get(errno) || UNKNOWN
}

// The properties are set in the order in which Node sets them, so that console.log shows both alike.
function asSystemError (error, errno, code, syscall, address, port) {
  error.errno = errno
  error.code = code
  error.syscall = syscall
  if (address !== undefined) error.address = address
  if (port) error.port = port
  return error
}

/** As net reports a failed read or write: `read ECONNRESET`. `errno` is libuv's (negative). */
function systemError (errno, syscall) {
  const [code] = systemName(errno)
  return asSystemError(new Error(`${syscall} ${code}`), errno, code, syscall)
}

/** As net reports a failed connect: `connect ECONNREFUSED 127.0.0.1:1`; for a path `connect ENOENT /x.sock`. */
function connectError (errno, address, port, syscall = 'connect') {
  const [code] = systemName(errno)
  const where = port > 0 ? ` ${address}:${port}` : address ? ` ${address}` : ''
  return asSystemError(new Error(`${syscall} ${code}${where}`), errno, code, syscall, address, port)
}

/** As net reports a failed listen: `listen EADDRINUSE: address already in use :::12345`. */
function listenError (errno, address, port) {
  const [code, text] = systemName(errno)
  const where = port > 0 ? ` ${address}:${port}` : address ? ` ${address}` : ''
  return asSystemError(new Error(`listen ${code}: ${text}${where}`), errno, code, 'listen', address, port)
}

/** As net reports several addresses that all failed: an AggregateError with the code of the first. */
function connectErrors (errors) {
  const all = errors.map((e) => connectError(e.errno, e.address, e.port, e.syscall))
  if (all.length === 1) return all[0]
  const error = new AggregateError(all)
  error.code = all.length > 0 ? all[0].code : undefined
  return error
}

function peerError ({ code, message, closeCode, closeReason, application }) {
  const error = new MuxProtocolError(code, message)
  if (closeCode !== undefined) {
    error.closeCode = closeCode
    error.closeReason = closeReason
    error.application = Boolean(application)
  }
  return error
}

/**
 * A defect of this package ended the connection: native code panicked at work on it. The text of the panic is on
 * stderr.
 */
function internalError () {
  const error = new Error('The connection was given up because of a defect in tcp-stream-muxer; please report it')
  error.code = INTERNAL
  return error
}

/** A failure of TLS, with the code that Node's tls gives it where there is one. */
function tlsError ({ code, message }) {
  const error = new Error(message)
  error.code = code
  return error
}

/** Makes an error object of the text of a CONN_ERROR record. */
function connectionError (text) {
  const report = JSON.parse(text)
  if (report.origin === 'peer') return peerError(report)
  if (report.origin === 'connect') return connectErrors(report.errors)
  if (report.origin === 'internal') return internalError()
  if (report.origin === 'tls') return tlsError(report)
  return systemError(report.errno, report.syscall)
}

/** The error that the callback of a second close() gets, as in net. */
function notRunning () {
  const error = new Error('Server is not running.')
  error.code = 'ERR_SERVER_NOT_RUNNING'
  return error
}

/** The error of a process that was not given a permission, as Node makes it. */
function accessDenied (permission, resource) {
  const error = new Error('Access to this API has been restricted. Use --allow-net to manage permissions.')
  error.code = 'ERR_ACCESS_DENIED'
  error.permission = permission
  error.resource = resource
  return error
}

/** The error of a wait that an AbortSignal ended, in Node's shape. */
function abortError (signal) {
  const error = new Error('The operation was aborted', { cause: signal.reason })
  error.name = 'AbortError'
  error.code = 'ABORT_ERR'
  return error
}

module.exports = {
  CALLER_CODES: Object.keys(CALLER),
  DROP_CODES: Object.keys(DROP),
  INTERNAL_CODES: [INTERNAL],
  PEER_CODES: Object.keys(PEER),
  PROXY_CODES: Object.keys(PROXY),
  STREAM_CODES: Object.keys(STREAM),
  MuxProtocolError,
  abortError,
  accessDenied,
  callerError,
  connectError,
  connectErrors,
  connectionError,
  dropError,
  invalid,
  listenError,
  notRunning,
  streamError,
  systemError
}
