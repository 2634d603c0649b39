'use strict'

// MuxServer: listens, and makes a Connection of each socket that native code accepts.
//
// This file may not: know streams, or throw for what a peer does.

const cluster = require('node:cluster')
const dns = require('node:dns')
const { EventEmitter } = require('node:events')
const net = require('node:net')
const os = require('node:os')
const { inherits } = require('node:util')
const { addressesOf } = require('./addresses')
const { kind: kinds } = require('./boundary')
const { Candidate } = require('./candidate')
const { Contexts } = require('./contexts')
const { Connection } = require('./connection')
const context = require('./context')
const engine = require('./engine')
const { callerError, connectionError, listenError, notRunning } = require('./errors')
const { describeServer, inspectable } = require('./inspect')
const { callback, invalid, nativeSettings, serverOptions } = require('./options')
const { denial } = require('./permission')
const { Places } = require('./places')
const { capture, onRejection } = require('./rejections')
const { contextTls } = require('./tls-options')
const { trusted } = require('./trust')

const { PROXY_ERROR, SERVER_CLOSED, SERVER_ERROR } = kinds

// The addresses that this worker of a cluster listens on together with other workers. The system would let this worker
// share an address with itself, too.
const shared = new Set()

// If a machine has no IPv6, the dual-stack address fails with one of these codes, and the server listens on IPv4 alone,
// as net does.
const NO_IPV6 = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EINVAL'])

/**
 * @constructor The server listens at once. MuxServer is a plain function, so that util.inherits and
 * `MuxServer.call(this, port)` work.
 */
function MuxServer (port, host) {
  if (!(this instanceof MuxServer)) return new MuxServer(port, host)
  const options = serverOptions(port, host)
  EventEmitter.call(this)
  if (options.connection.captureRejections) capture(this)
  engine.start()
  this.listening = false
  this.maxConnections = options.maxConnections
  this.maxConnectionsPerAddress = options.maxConnectionsPerAddress
  this.blockList = options.blockList
  this._options = options
  this._contexts = options.tls && new Contexts(options.tls)
  this._context = context.capture()
  this._number = -1 // the number of the native listener, while there is one
  this._place = undefined // the address that it listens on, if that is one of `shared`
  this._connections = new Places()
  this._closing = false
  this._resolving = false // a host name is being looked up
  this._wantsRef = true
  this._hasRef = false
  this._warned = false
  this._unwatch = undefined
  if (options.signal !== undefined) watch(this, options.signal)
  begin(this, options)
}

inherits(MuxServer, EventEmitter)
Object.setPrototypeOf(MuxServer, EventEmitter)

/** As net.Server: the address object or the path; null while the server does not listen. */
MuxServer.prototype.address = function address () {
  return this.listening ? JSON.parse(engine.native.serverAddress(this._number)) : null
}

/** Stops accepting. 'close' is emitted, and the callback called, when the last connection has ended. */
MuxServer.prototype.close = function close (done) {
  callback('callback', done)
  if (this._closing || (this._number < 0 && !this._resolving)) {
    if (done) process.nextTick(done, notRunning())
    return this
  }
  if (done) context.once(this, 'close', done)
  this._closing = true
  this.listening = false
  shared.delete(this._place)
  this._resolving = false
  for (const each of [...this._connections]) if (each instanceof Candidate) each.destroy()
  if (this._number >= 0) engine.native.closeServer(this._number)
  else process.nextTick(closeIfDone, this)
  return this
}

/** Destroys the open connections. The server goes on listening. */
MuxServer.prototype.closeAllConnections = function closeAllConnections () {
  for (const connection of [...this._connections]) connection.destroy()
  return this
}

/** Takes other certificates, keys and authorities for the connections that are accepted from now on. */
MuxServer.prototype.setSecureContext = function setSecureContext (options) {
  const settings = contextTls(options)
  if (this._options.tls === undefined) throw callerError('ERR_MUX_NOT_SECURE', 'setSecureContext()')
  this._contexts.inherit(settings.given)
  if (this._number >= 0) engine.native.secureServer(this._number, JSON.stringify(trusted(settings.native)))
  this._options.tls = settings
  return this
}

/** Takes other certificates and keys for clients that ask for a name, which may have stars. The latest that fits counts. */
MuxServer.prototype.addContext = function addContext (hostname, options) {
  if (typeof hostname !== 'string' || hostname === '') throw invalid('hostname', 'a host name', hostname)
  if (this._contexts === undefined) throw callerError('ERR_MUX_NOT_SECURE', 'addContext()')
  this._contexts.add(hostname, options)
  return this
}

MuxServer.prototype.getConnections = function getConnections (done) {
  process.nextTick(done, null, this._connections.size)
  return this
}

MuxServer.prototype.ref = function ref () {
  this._wantsRef = true
  updateRef(this)
  return this
}

MuxServer.prototype.unref = function unref () {
  this._wantsRef = false
  updateRef(this)
  return this
}

MuxServer.prototype[Symbol.asyncDispose || Symbol.for('nodejs.asyncDispose')] = function dispose () {
  return new Promise((resolve) => this.close(() => resolve()))
}

// A listener of the program's failed, and not the server. As net.Server, the server loses only that connection.
onRejection(MuxServer, 'connection', (server, error) => server.emit('error', error))

function begin (server, options) {
  const denied = denial(options.path ?? `${options.host ?? '::'}:${options.port}`)
  if (denied !== undefined) return process.nextTick(fail, server, denied)
  if (options.path !== undefined) return listen(server, { path: options.path })
  if (options.host === undefined) return listenAnywhere(server, options.port)
  if (net.isIP(options.host) !== 0) return listen(server, { address: options.host, port: options.port })
  server._resolving = true
  dns.lookup(options.host, (error, address) => {
    if (!server._resolving) return
    server._resolving = false
    if (error) fail(server, error)
    else listen(server, { address, port: options.port })
  })
}

function listenAnywhere (server, port) {
  const error = tryListen(server, { address: '::', port })
  if (error === undefined) return
  if (NO_IPV6.has(error.code)) listen(server, { address: '0.0.0.0', port })
  else process.nextTick(fail, server, error)
}

function listen (server, where) {
  const error = tryListen(server, where)
  if (error !== undefined) process.nextTick(fail, server, error)
}

function tryListen (server, where) {
  const { backlog, ipv6Only, reusePort, readableAll, writableAll, connection, tls } = server._options
  const { proxyProtocol, verifyConnection } = server._options
  const place = reusePort && cluster.isWorker ? `${where.address} ${where.port}` : undefined
  if (shared.has(place)) return listenError(-os.constants.errno.EADDRINUSE, where.address, where.port)
  const { path, ...address } = where
  const number = engine.native.listen(JSON.stringify({
    path,
    address: path === undefined ? address : undefined,
    backlog,
    ipv6Only,
    reusePort,
    readableAll,
    writableAll,
    admission: {
      // Whoever is blocked is not even read. With `tls`, native code asks about all connections.
      asks: verifyConnection !== undefined || server.blockList !== undefined,
      proxies: proxyProtocol ?? null
    },
    connection: nativeSettings(connection),
    tls: tls && trusted(tls.native)
  }))
  if (number < 0) return listenError(number, where.path === undefined ? where.address : where.path, where.port)
  server._place = place
  if (place !== undefined) shared.add(place)
  server._number = number
  server.listening = true
  engine.registerServer(number, server)
  updateRef(server)
  process.nextTick(() => {
    if (server.listening) context.emit(server._context, server, 'listening')
  })
}

// Listening failed: nothing is left to be closed.
function fail (server, error) {
  if (server._unwatch) server._unwatch()
  context.emit(server._context, server, 'error', error)
}

function watch (server, signal) {
  const onAbort = () => server.close()
  if (signal.aborted) {
    process.nextTick(onAbort) // as net
    return
  }
  signal.addEventListener('abort', onAbort, { once: true })
  server._unwatch = () => signal.removeEventListener('abort', onAbort)
}

function updateRef (server) {
  const wants = server._wantsRef && server._number >= 0
  if (wants === server._hasRef) return
  server._hasRef = wants
  if (wants) engine.ref()
  else engine.unref()
}

function closeIfDone (server) {
  if (!server._closing || server._number >= 0 || server._connections.size > 0) return
  if (server._unwatch) server._unwatch()
  context.emit(server._context, server, 'close')
}

// ---- called by the engine ----

MuxServer.prototype._record = function (kind, offset, length) {
  if (kind === SERVER_CLOSED) {
    engine.forgetServer(this._number)
    this._number = -1
    updateRef(this)
    closeIfDone(this)
  } else if (kind === SERVER_ERROR) {
    const error = connectionError(engine.textAt(offset, length))
    // The cause is mostly too many open files. Strangers can bring that about, so an error without a listener must not
    // end the process.
    if (this.listenerCount('error') > 0) {
      context.emit(this._context, this, 'error', error)
    } else if (!this._warned) {
      this._warned = true
      process.emitWarning(`A muxed server could not accept a connection: ${error.message}`,
        { type: 'MuxWarning', code: error.code })
    }
  } else if (kind === PROXY_ERROR && !this._closing) {
    // A connection that never was one, for the listeners of 'connectionError', who look at its addresses.
    const text = engine.textAt(offset, length)
    const connection = new Connection(this, this._options.connection, this._context)
    connection._setEnds(JSON.parse(text))
    connection.destroy(connectionError(text))
  }
}

// A connection has come. With `isAsked`, native code has read nothing of it, and waits to be told what becomes of it.
MuxServer.prototype._arrival = function (isAsked, number, offset, length) {
  const ends = JSON.parse(engine.textAt(offset, length))
  if (this._closing || isBlocked(this.blockList, ends.remote)) return engine.native.destroy(number, false)
  const refusal = this._connections.refusal(this, ends.remote)
  if (refusal !== undefined) {
    engine.native.destroy(number, false)
    drop(this, ends, refusal)
  } else if (isAsked) {
    this._ask(number, ends)
  } else {
    const connection = new Connection(this, this._options.connection, this._context)
    this._connections.add(connection, ends.remote)
    this._announce(connection, number, ends)
  }
}

MuxServer.prototype._ask = function (number, ends) {
  const { verifyConnection, tls } = this._options
  const candidate = new Candidate(this, number, ends)
  this._connections.add(candidate, ends.remote)
  // Behind a handshake there is more to decide by.
  if (verifyConnection === undefined || tls !== undefined) candidate.admit()
  else candidate.verify()
}

MuxServer.prototype._announce = function (connection, number, ends) {
  connection._start(number)
  connection._establish(ends)
  context.emit(this._context, this, 'connection', connection)
}

// Addresses of the block list are not worth an event, as in net.
function isBlocked (list, remote) {
  return list !== undefined && list !== null && Boolean(remote) &&
    list.check(remote.address, remote.family === 'IPv6' ? 'ipv6' : 'ipv4')
}

// The first argument of 'drop' is that of net.
function drop (server, ends, reason) {
  context.emit(server._context, server, 'drop', addressesOf(ends), reason)
}

// ---- called by the server's candidates ----

/** Native code goes on with a connection that was let in. */
MuxServer.prototype._admitted = function (candidate, number, ends) {
  if (this._closing) return engine.native.destroy(number, false)
  const connection = new Connection(this, this._options.connection, this._context)
  this._connections.pass(candidate, connection)
  this._announce(connection, number, ends)
}

/** The program lets a connection in that it was asked about behind the handshake. */
MuxServer.prototype._verified = function (candidate, connection) {
  if (this._closing) return connection.destroy()
  connection._owner = this
  this._connections.pass(candidate, connection)
  connection.resume()
  context.emit(this._context, this, 'connection', connection)
}

MuxServer.prototype._asksForNames = function () { return this._contexts !== undefined && this._contexts.asks }

MuxServer.prototype._findContext = function (name, done) { this._contexts.find(this, name, done) }

// Strangers bring these about: if nobody listens, nobody is told.
MuxServer.prototype._handshakeFailed = function (ends, error) {
  context.emit(this._context, this, 'tlsClientError', error, addressesOf(ends))
}

MuxServer.prototype._keylog = function (line) {
  context.emit(this._context, this, 'keylog', line)
}

MuxServer.prototype._refused = function (candidate, ends, reason) {
  this._connections.delete(candidate)
  drop(this, ends, reason)
}

// ---- called by the server's connections ----

MuxServer.prototype._hearsStreams = function (connection) {
  return connection.listenerCount('stream') > 0
}

MuxServer.prototype._emitStream = function (connection, stream) {
  context.emit(connection._context, connection, 'stream', stream)
}

// A server has many connections: their events stay with them.
MuxServer.prototype._connectionTells = function () {}

// An error of a peer never throws here. If nobody listens, only 'close' tells of it.
MuxServer.prototype._connectionError = function (connection, error) {
  if (connection.listenerCount('error') > 0) connection.emit('error', error)
  else if (this.listenerCount('connectionError') > 0) this.emit('connectionError', error, connection)
}

MuxServer.prototype._connectionClosed = function (connection) {
  if (this._connections.delete(connection)) closeIfDone(this)
}

inspectable(MuxServer, 'MuxServer', describeServer)

module.exports = { MuxServer }
