'use strict'

// MuxServer: listens, and makes a Connection of each socket that native code accepts, or is given.
//
// This file may not: know streams, or throw for what a peer does.

const dns = require('node:dns')
const { EventEmitter } = require('node:events')
const fs = require('node:fs')
const net = require('node:net')
const { inherits } = require('node:util')
const { addressesOf } = require('./addresses')
const { kind: kinds } = require('./boundary')
const { Attachment } = require('./attachment')
const { Candidate } = require('./candidate')
const { ClusterListener, listensInCluster } = require('./cluster-listener')
const { Contexts } = require('./contexts')
const { Connection } = require('./connection')
const context = require('./context')
const engine = require('./engine')
const { callerError, connectionError, invalid, listenError, notRunning, systemError } = require('./errors')
const { Guest } = require('./guest')
const { take, transportFor } = require('./handover')
const { describeServer, inspectable } = require('./inspect')
const { callback, duplex: checkDuplex, nativeSettings, serverOptions } = require('./options')
const { denial } = require('./permission')
const { Places } = require('./places')
const { capture, onRejection } = require('./rejections')
const { contextTls } = require('./tls-options')
const { trusted } = require('./trust')

const { PROXY_ERROR, SERVER_CLOSED, SERVER_ERROR } = kinds

// If a machine has no IPv6, the dual-stack address fails with one of these codes, and the server listens on IPv4 alone,
// as net does.
const NO_IPV6 = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EINVAL'])

// The codes for a socket whose peer has reset it. EINVAL is that of macOS.
const GONE = new Set(['ENOTCONN', 'EINVAL'])

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
  this._number = -1 // the number of the native server, while there is one
  this._listener = undefined // listens in the place of the native server, if there is one
  this._connections = new Places()
  this._closing = false
  this._resolving = false // a host name is being looked up, or the primary process of a cluster is asked to listen
  this._wantsRef = true
  this._hasRef = false
  this._warned = false
  this._unwatch = undefined
  if (options.signal !== undefined) watch(this, options.signal)
  if (options.listens) begin(this, options)
  else receiveOnly(this, options)
}

inherits(MuxServer, EventEmitter)
Object.setPrototypeOf(MuxServer, EventEmitter)

/** As net.Server: the address object or the path; null while the server does not listen. */
MuxServer.prototype.address = function address () {
  if (this._options.server !== undefined) return this._listener.address()
  if (!this.listening) return null
  return this._listener ? this._listener.address() : JSON.parse(engine.native.serverAddress(this._number))
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
  this._resolving = false
  if (this._listener) this._listener.close()
  for (const each of [...this._connections]) if (each instanceof Candidate || each._owner !== this) each.destroy()
  if (this._number >= 0) engine.native.closeServer(this._number)
  else process.nextTick(closeIfDone, this)
  updateRef(this)
  return this
}

/**
 * Makes a connection over a stream of the program's. 'connection' follows in a later turn, if the server lets it in.
 * @returns {Connection} destroyed already if the server has no place for it
 */
MuxServer.prototype.accept = function accept (duplex) {
  return this._accept(checkDuplex('duplex', duplex))
}

/** Destroys the open connections. The server goes on listening. */
MuxServer.prototype.closeAllConnections = function closeAllConnections () {
  for (const connection of [...this._connections]) connection.destroy()
  return this
}

/** Takes other certificates, keys and authorities for the connections that are accepted from now on. */
MuxServer.prototype.setSecureContext = function setSecureContext (options) {
  const settings = contextTls(options, {}, this._options.connection.protocol)
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
  const denied = denial(options.path ?? `${options.host ?? '::'}:${options.port ?? options.fd}`)
  if (denied !== undefined) return process.nextTick(fail, server, denied)
  if (listensInCluster(options)) {
    server._resolving = true
    server._listener = new ClusterListener(server, options)
    return
  }
  if (options.fd !== undefined) return listenOn(server, options.fd)
  if (options.path !== undefined) return listen(server, { path: options.path })
  if (options.host === undefined) return listenAnywhere(server, options.port)
  if (net.isIP(options.host) !== 0) return listen(server, { address: options.host, port: options.port })
  server._resolving = true
  dns.lookup(options.host, (error, address) => {
    if (!server._resolving) return
    server._resolving = false
    const failure = error ?? listenLater(server, { address, port: options.port })
    if (failure !== undefined) fail(server, failure)
  })
}

// The server gets its connections by accept(), or from another one, which listens.
function receiveOnly (server, options) {
  const error = make(server, {})
  if (error !== undefined) return process.nextTick(fail, server, error)
  if (options.server === undefined) return
  server._listener = new Attachment(server, options.server, options.path)
  server.listening = options.server.listening
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

// The server is the owner of the descriptor from then on, as in net. Native code has a second one.
function listenOn (server, descriptor) {
  const error = tryListen(server, { descriptor })
  if (error === undefined) fs.closeSync(descriptor)
  else process.nextTick(fail, server, error)
}

// As tryListen(), when the constructor, which throws for certificates and keys that cannot be used, has returned.
function listenLater (server, where) {
  try {
    return tryListen(server, where)
  } catch (error) {
    return error
  }
}

function tryListen (server, where) {
  const error = make(server, where)
  if (error !== undefined) return error
  server.listening = true
  updateRef(server)
  process.nextTick(() => {
    if (server.listening) context.emit(server._context, server, 'listening')
  })
}

// Makes the native server. `where` is an address, a path or a descriptor. Without any of them, the server gets only what it
// is given.
function make (server, where) {
  const { backlog, ipv6Only, reusePort, readableAll, writableAll, connection, tls } = server._options
  const { proxyProtocol, verifyConnection } = server._options
  const { address, port, ...other } = where
  const number = engine.native.listen(JSON.stringify({
    ...other,
    address: address === undefined ? undefined : { address, port },
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
  if (number < 0) return listenError(number, where.path === undefined ? address : where.path, port)
  server._number = number
  engine.registerServer(number, server)
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
  if (server._listener) server._listener.keepAlive(server._wantsRef)
  // A server that does not listen keeps nothing alive, but for its close.
  const isAwaited = server._options.listens ? server._wantsRef : server._closing
  const wants = isAwaited && server._number >= 0
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
    acceptFailed(this, connectionError(engine.textAt(offset, length)))
  } else if (kind === PROXY_ERROR && !this._closing) {
    // A connection that never was one, for the listeners of 'connectionError', who look at its addresses.
    const text = engine.textAt(offset, length)
    const connection = new Connection(this, this._options.connection, this._context)
    connection._setEnds(JSON.parse(text))
    connection.destroy(connectionError(text))
  }
}

// The cause is mostly too many open files. Strangers can bring that about, so an error without a listener must not end the
// process.
function acceptFailed (server, error) {
  if (server.listenerCount('error') > 0) {
    context.emit(server._context, server, 'error', error)
  } else if (!server._warned) {
    server._warned = true
    process.emitWarning(`A muxed server could not accept a connection: ${error.message}`,
      { type: 'MuxWarning', code: error.code })
  }
}

// ---- sockets that native code did not accept ----

/**
 * Receives a socket that was taken (handover.js) as if the server had accepted it. The socket's object is released.
 * @returns {Error|undefined} why that was not possible
 */
MuxServer.prototype._adopt = function (taken) {
  const isOpen = this._number >= 0 && !this._closing
  const result = isOpen ? engine.native.receive(this._number, taken.fd, taken.head) : 0
  taken.release()
  if (!isOpen) return notRunning()
  if (result < 0) return systemError(result, 'open')
}

/** A socket of another server. A load balancer's header is read by native code, as from a socket of its own. */
MuxServer.prototype._acceptFrom = function (socket) {
  const { proxyProtocol, takeOver } = this._options
  if (proxyProtocol === undefined || !takeOver) return void this._accept(socket)
  if (socket.destroyed) return // by another listener
  let taken
  try {
    taken = take(socket)
  } catch (error) {
    socket.destroy()
    return acceptFailed(this, error)
  }
  if (taken === undefined) return void this._accept(socket)
  socket.on('error', () => {}) // a socket that breaks before its object is released concerns nobody
  this._receive(taken)
}

/** As _adopt(), and reports why that was not possible. */
MuxServer.prototype._receive = function (taken) {
  const error = this._adopt(taken)
  // A peer that has reset its connection by now concerns nobody, as in net. Strangers can do that as often as they like.
  if (error !== undefined && !this._closing && !GONE.has(error.code)) acceptFailed(this, error)
}

// ---- called by the listener of a cluster ----

/** The primary process listens. */
MuxServer.prototype._opened = function () {
  this._resolving = false
  const error = listenLater(this, {})
  if (error === undefined) return
  this._listener.close()
  this._listener = undefined
  fail(this, error)
}

/** The primary process does not listen. */
MuxServer.prototype._failed = function (error) {
  if (this._closing) return
  if (this.listening) return acceptFailed(this, error)
  this._resolving = false
  this._listener = undefined
  fail(this, error)
}

// ---- called by the engine ----

// A connection has come. With `isAsked`, native code has read nothing of it, and waits to be told what becomes of it.
MuxServer.prototype._arrival = function (isAsked, number, offset, length) {
  const ends = JSON.parse(engine.textAt(offset, length))
  if (this._closing || isBlocked(this.blockList, ends.remote)) return engine.native.destroy(number, false)
  const refusal = this._connections.refusal(this, ends.remote)
  if (refusal !== undefined) {
    engine.native.destroy(number, false)
    drop(this, ends, refusal)
  } else if (isAsked) {
    const candidate = new Candidate(this, number, ends)
    this._connections.add(candidate, ends.remote)
    candidate.consider()
  } else {
    const connection = new Connection(this, this._options.connection, this._context)
    this._connections.add(connection, ends.remote)
    this._announce(connection, number, ends)
  }
}

// A stream or a socket of the program's, or of another server's that asked for it with this HTTP request.
MuxServer.prototype._accept = function (duplex, request) {
  const connection = new Connection(this, this._options.connection, this._context)
  const { ends } = transportFor(duplex, connection, this._options.takeOver)
  if (this._closing || isBlocked(this.blockList, ends.remote)) return connection.destroy()
  // The server cannot listen, or does not know yet whether it can.
  if (this._number < 0) return connection.destroy(notRunning())
  const refusal = this._connections.refusal(this, ends.remote)
  if (refusal !== undefined) {
    process.nextTick(drop, this, ends, refusal)
    return connection.destroy()
  }
  this._connections.add(connection, ends.remote)
  new Guest(this, connection, ends, request).arrive()
  return connection
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

// ---- called by the server's candidates and guests ----

/** Native code goes on with a connection, behind the handshake if there is one. */
MuxServer.prototype._admitted = function (candidate, number, ends) {
  if (this._closing) return engine.native.destroy(number, false)
  const connection = new Connection(this, this._options.connection, this._context)
  this._connections.pass(candidate, connection)
  if (this._asks(true)) new Guest(this, connection, ends).greet(number)
  else this._announce(connection, number, ends)
}

/** Whether the program is asked about connections behind their handshake, or else before anything is read of them. */
MuxServer.prototype._asks = function (isBehindHandshake) {
  const { verifyConnection, tls } = this._options
  return verifyConnection !== undefined && (tls !== undefined) === isBehindHandshake
}

/** A guest is let in. */
MuxServer.prototype._letIn = function (connection) {
  if (this._closing) return connection.destroy()
  connection._owner = this
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

MuxServer.prototype._refused = function (holder, ends, reason) {
  this._connections.delete(holder)
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
