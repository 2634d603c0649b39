'use strict'

// MuxClient: resolves the name, connects, and passes on what its one connection reports.
//
// This file may not: know streams, or choose between addresses (native code tries them in the order given here).

const dns = require('node:dns')
const { EventEmitter } = require('node:events')
const net = require('node:net')
const { inherits } = require('node:util')
const { Connection } = require('./connection')
const context = require('./context')
const engine = require('./engine')
const { abortError, connectError } = require('./errors')
const { transportFor } = require('./handover')
const { describeClient, inspectable } = require('./inspect')
const { callback, clientOptions, nativeSettings } = require('./options')
const { denial } = require('./permission')
const { trusted } = require('./trust')
const { installOn } = require('./unheard')
const { capture, onRejection } = require('./rejections')

/** @constructor The client connects at once. MuxClient is a plain function, as MuxServer is. */
function MuxClient (port, host, done) {
  if (!(this instanceof MuxClient)) return new MuxClient(port, host, done)
  if (typeof host === 'function') {
    done = host
    host = undefined
  }
  callback('callback', done)
  const options = clientOptions(port, host)
  EventEmitter.call(this)
  if (options.connection.captureRejections) capture(this)
  engine.start()
  this._connection = new Connection(this, options.connection, context.capture())
  this._connection._expected = options.tls?.peer ?? null
  this._unwatch = undefined
  /** The connection; undefined before the connect. */
  this.connection = undefined
  /** The pool exists from the start. Streams that are opened before the connect are sent after it. */
  this.StreamPool = this._connection.StreamPool
  if (done) context.once(this, 'connect', done)
  if (options.signal !== undefined) watch(this, options.signal)
  if (options.socket !== undefined) carry(this, options)
  else if (!this._connection.destroyed) resolve(this._connection, options)
}

inherits(MuxClient, EventEmitter)
Object.setPrototypeOf(MuxClient, EventEmitter)

/** Half-closes the connection; what is queued is sent first. */
MuxClient.prototype.end = function end (...args) {
  this._connection.end(...args)
  return this
}

MuxClient.prototype.destroy = function destroy (error) {
  this._connection.destroy(error)
  return this
}

/** Closes at once, and tells the server why. Before the connect, close() gives the connect up. */
MuxClient.prototype.close = function close (code, reason) {
  this._connection.close(code, reason)
  return this
}

/** Refuses all further streams of the server's. If called before the connect, goaway() takes effect with it. */
MuxClient.prototype.goaway = function goaway () {
  this._connection.goaway()
  return this
}

/** Lets the server send so many bytes ahead of what is consumed. A call before the connect takes effect at the connect. */
MuxClient.prototype.setLocalWindowSize = function setLocalWindowSize (windowSize) {
  this._connection.setLocalWindowSize(windowSize)
  return this
}

/**
 * Measures a round trip to the server. Before the connect, ping() waits for the connect. @returns {Promise<number>} ms
 */
MuxClient.prototype.ping = function ping () {
  return this._connection.ping()
}

/** The counts of the connection. Before the connect, all of them are 0. */
MuxClient.prototype.stats = function stats () {
  return this._connection.stats()
}

/** As con.setTimeout(). The time that the connect takes counts too, as in net. */
MuxClient.prototype.setTimeout = function setTimeout (ms, listener) {
  callback('callback', listener)
  this._connection.setTimeout(ms)
  if (listener) {
    if (ms > 0) context.once(this, 'timeout', listener)
    else this.removeListener('timeout', listener)
  }
  return this
}

MuxClient.prototype.ref = function ref () {
  this._connection.ref()
  return this
}

MuxClient.prototype.unref = function unref () {
  this._connection.unref()
  return this
}

Object.defineProperty(MuxClient.prototype, 'destroyed', {
  configurable: true,
  enumerable: true,
  get () { return this._connection.destroyed }
})

installOn(MuxClient.prototype, EventEmitter, (client) => client._connection)

onRejection(MuxClient, 'stream', (client, error) => client.destroy(error))

function watch (client, signal) {
  const onAbort = () => client.destroy(abortError(signal))
  if (signal.aborted) {
    onAbort()
    return
  }
  signal.addEventListener('abort', onAbort, { once: true })
  client._unwatch = () => signal.removeEventListener('abort', onAbort)
}

// ---- over a stream of the program's ----

function carry (client, { socket, takeOver, tls }) {
  const connection = client._connection
  const transport = transportFor(socket, connection, takeOver)
  if (connection.destroyed) return transport.drop()
  transport.whenUsable(() => {
    if (!connection.destroyed) transport.start({ tls: secured(tls?.native) })
  })
}

// ---- resolving, as net does it ----

function resolve (connection, options) {
  const { host, port, path } = options
  const denied = denial(path ?? `${host}:${port}`)
  if (denied !== undefined) return process.nextTick(fail, connection, denied)
  if (path !== undefined) return connect(connection, options, { addresses: [], path })
  if (net.isIP(host) !== 0) return connect(connection, options, { addresses: [{ address: host, port }] })
  const request = { family: options.family, hints: options.hints }
  const any = request.family === 0
  // Addresses of a family that this machine has no route for are of no use.
  if (any && request.hints === 0 && process.platform !== 'win32') request.hints = dns.ADDRCONFIG
  const all = any && options.localAddress === undefined && options.autoSelectFamily
  if (all) request.all = true
  const lookup = options.lookup || dns.lookup
  lookup(host, request, (error, found, family) => {
    if (connection.destroyed) return
    if (error) return process.nextTick(fail, connection, error)
    const entries = all ? found : [{ address: found, family }]
    const addresses = usable(entries)
    if (addresses.length === 0) process.nextTick(fail, connection, badAddress(entries[0]))
    else connect(connection, options, { addresses: addresses.map((address) => ({ address, port })) })
  })
}

// Returns each address once, with the families in turn, and the family of the first address found first.
function usable (found) {
  const first = []
  const second = []
  let preferred
  for (const { address, family } of found) {
    if (net.isIP(address) === 0 || (family !== 4 && family !== 6)) continue
    preferred = preferred || family
    const list = family === preferred ? first : second
    if (!list.includes(address)) list.push(address)
  }
  const turns = []
  for (let i = 0; i < Math.max(first.length, second.length); i++) {
    if (i < first.length) turns.push(first[i])
    if (i < second.length) turns.push(second[i])
  }
  return turns
}

// Node's error for a program's own lookup that returned no usable address.
function badAddress (entry = {}) {
  const ip = net.isIP(entry.address) === 0
  const error = ip
    ? new TypeError(`Invalid IP address: ${entry.address}`)
    : new RangeError(`Invalid address family: ${entry.family}`)
  error.code = ip ? 'ERR_INVALID_IP_ADDRESS' : 'ERR_INVALID_ADDRESS_FAMILY'
  return error
}

function connect (connection, options, where) {
  const { localAddress, localPort } = options
  const settings = JSON.stringify({
    ...where,
    // If only a port is given, the client binds that port on any address.
    local: localAddress || localPort ? { address: localAddress ?? '::', port: localPort ?? 0 } : undefined,
    attemptTimeout: options.autoSelectFamilyAttemptTimeout,
    connection: nativeSettings(connection._settings),
    tls: secured(options.tls?.native)
  })
  const number = tryConnect(connection, () => engine.native.connect(settings))
  if (number === undefined) return
  if (number >= 0) {
    connection._start(number)
    return
  }
  const [{ address, port }] = where.path === undefined ? where.addresses : [{ address: where.path }]
  process.nextTick(fail, connection, connectError(number, address, port))
}

function secured (settings) {
  if (settings !== undefined) trusted(settings.context.options)
  return settings
}

// Certificates and keys that cannot be used are an exception of native code.
function tryConnect (connection, start) {
  try {
    return start()
  } catch (error) {
    process.nextTick(fail, connection, error)
  }
}

function fail (connection, error) {
  connection.destroy(error)
}

// ---- called by the connection ----

MuxClient.prototype._keylog = function (line) {
  context.emit(this._connection._context, this, 'keylog', line)
}

MuxClient.prototype._connected = function (connection) {
  this.connection = connection
  context.emit(connection._context, this, 'connect')
}

MuxClient.prototype._hearsStreams = function (connection) {
  return connection.listenerCount('stream') + this.listenerCount('stream') > 0
}

MuxClient.prototype._emitStream = function (connection, stream) {
  try {
    context.emit(connection._context, connection, 'stream', stream)
  } finally {
    context.emit(connection._context, this, 'stream', stream)
  }
}

MuxClient.prototype._connectionTells = function (connection, args) {
  context.emit(connection._context, this, ...args)
}

// The error is emitted wherever somebody listens: on the connection, on the client, or on both. If nobody listens, the
// client's emit() throws, as that of any EventEmitter.
MuxClient.prototype._connectionError = function (connection, error) {
  const heard = connection.listenerCount('error') > 0
  try {
    if (heard) connection.emit('error', error)
  } finally {
    if (!heard || this.listenerCount('error') > 0) this.emit('error', error)
  }
}

MuxClient.prototype._connectionClosed = function (connection, hadError) {
  if (this._unwatch) this._unwatch()
  context.emit(connection._context, this, 'close', hadError)
}

inspectable(MuxClient, 'MuxClient', describeClient)

module.exports = { MuxClient }
