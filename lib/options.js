'use strict'

// The options that callers give: the defaults, each with its reason, and the checks. Native code gets checked, plain
// data.
//
// This file may not: open, resolve or listen to anything.

const http = require('node:http')
const https = require('node:https')
const net = require('node:net')
const { INCREMENTAL, URGENCY } = require('./boundary')
const { invalid } = require('./errors')
const { proxyProtocol } = require('./proxy-protocol')
const { checkPlaces, clientTls, serverTls } = require('./tls-options')

const KIB = 1024
const MIB = 1024 * KIB
const MAX_UINT31 = 2 ** 31 - 1
const MAX_SAFE = Number.MAX_SAFE_INTEGER

// The commands buffer of the engine (engine.js) takes a JSON text of this length in one piece.
const MAX_JSON = 4 * MIB

const CONNECTION_DEFAULTS = {
  // Frames are gathered per turn before they are sent, so Nagle's algorithm would only add latency.
  noDelay: true,
  keepAlive: false, // as net
  keepAliveInitialDelay: 0, // ms; 0 leaves the system's default, as net
  allowHalfOpen: false, // as net
  captureRejections: false, // as every EventEmitter; events.captureRejections enables it for all of them
  protocol: 'auto',
  peer: 'auto',
  // 256 KiB: four of the largest frames that we send. That is enough to keep a loopback or a LAN link busy over one
  // turn of the event loop, and little enough that a thousand slow connections cost at most 256 MiB.
  readableHighWaterMark: 256 * KIB,
  writableHighWaterMark: 256 * KIB,
  // Enough for a listener that comes more than one turn late. What exceeds the limit is dropped, as version 0.1.0 drops
  // all of it at once.
  unclaimedLimit: 256 * KIB,
  // Version 0.1.0 has no limit, so a peer may fill all its memory. 4 MiB is 13 times the largest meta tested with it.
  maxMetaSize: 4 * MIB,
  // 64 KiB for each of 256 streams. A hostile text takes 22 times its length in memory when it is parsed.
  maxMetaTotal: 16 * MIB,
  maxEndValueSize: 4 * MIB,
  // JSON.parse has no limit of its own; 512 is deeper than any data made by hand, shallower than any stack.
  maxJsonDepth: 512,
  // The limit and the error of version 0.1.0: a program that forgets to end its streams fails at the same place.
  maxStreams: 256,
  // On every wire. The first message of the peer fits one packet: 10 s allow three retransmissions of it, and a process
  // that starts slowly.
  handshakeTimeout: 10_000,
  idleTimeout: 0, // ms; 0 means none, as net
  // By default native code decides by the number of processors. With at most two, JavaScript's thread sends all that it
  // can, because a hop to the mux-io thread costs more than that thread could do meanwhile. With more, the mux-io
  // thread takes over if more than 16 KiB are ready.
  directSendLimit: undefined,
  // The options below have no effect on the legacy wire, except for maxPendingStreams.
  // As many streams as the other end may open by its own default; HTTP/2 servers allow 100. A peer of version 0.1.0
  // cannot be told, and has a limit of 256 of its own.
  maxIncomingStreams: 256,
  // Streams that 'stream' listeners have not seen yet: 256 metas take little memory, and a higher limit would not pay.
  maxPendingStreams: 256,
  // 256 KiB, with which yamux and its kin start as well, allows 25 MB/s at 10 ms. A window that is too small grows, up
  // to 16 MiB, which allows 320 MB/s at 50 ms.
  streamWindow: 256 * KIB,
  maxStreamWindow: 16 * MIB,
  // The first window is that of four streams; 64 MiB is the most that one connection can have under way to us.
  connectionWindow: 1 * MIB,
  maxConnectionWindow: 64 * MIB,
  // 256 streams with 256 KiB each may stand unread before they slow the others.
  maxHeld: 64 * MIB,
  // 64 KiB of data, and the header of its frame.
  maxRecordSize: 64 * KIB + 16,
  // A ping after 30 s of silence, as yamux sends it, keeps the entry in the table of a NAT or a load balancer, which
  // expires after a minute or more. Another 30 s allow several retransmissions of a lost packet: a peer that is silent
  // for so long is frozen, or gone.
  pingInterval: 30_000,
  pingTimeout: 30_000,
  // Each budget allows this many at once and this many a second: far above what programs do, far below what costs
  // anything.
  maxResets: 1000,
  maxPings: 100,
  // A program may well send many empty frames: each empty write is one.
  maxEmptyFrames: 100_000,
  maxUselessFrames: 1000
}

// A declared value below this is an error by the draft.
const MIN_RECORD = 16382

const BACKLOG = 511 // as net
// As net: a shorter wait would make each slow first address cost a second connection.
const MIN_ATTEMPT_TIMEOUT = 10

/** The value of an argument that is an integer within these bounds. */
function integerIn (name, value, min, max) {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw invalid(name, `an integer from ${min} to ${max}`, value)
}

function integer (options, name, min, max, fallback) {
  const value = options[name]
  return value === undefined ? fallback : integerIn(`options.${name}`, value, min, max)
}

function boolean (options, name, fallback) {
  const value = options[name]
  if (value === undefined) return fallback
  if (typeof value !== 'boolean') throw invalid(`options.${name}`, 'a boolean', value)
  return value
}

function string (options, name) {
  const value = options[name]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'string') throw invalid(`options.${name}`, 'a string', value)
  return value
}

function oneOf (options, name, values, fallback) {
  const value = options[name]
  if (value === undefined) return fallback
  if (values.includes(value)) return value
  throw invalid(`options.${name}`, `one of ${values.map((v) => `'${v}'`).join(', ')}`, value)
}

function signal (options) {
  const value = options.signal
  if (value === undefined) return undefined
  if (value !== null && typeof value === 'object' && 'aborted' in value) return value
  throw invalid('options.signal', 'an AbortSignal', value)
}

/** A listener or callback that may be missing. */
function callback (name, value) {
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'function') throw invalid(name, 'a function', value)
  return value
}

// Numeric strings are ports, as in net, because programs take ports from the environment.
function port (options, fallback) {
  const value = options.port
  if (value === undefined || value === null) return fallback
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  if (Number.isInteger(number) && number >= 0 && number <= 65535) return number
  throw invalid('options.port', 'an integer from 0 to 65535', value)
}

function filePath (options) {
  const value = string(options, 'path')
  if (value === '') throw invalid('options.path', 'a path', value)
  // The kernel would cut the name at the null byte, and bind or reach another file than was meant.
  if (value !== undefined && value.indexOf('\0', 1) > 0) throw invalid('options.path', 'free of null bytes', value)
  // The path that the kernel gets from net, too: half of a surrogate pair becomes U+FFFD.
  return value?.toWellFormed()
}

// What a connection does with a stream that it goes over.
const DUPLEX_METHODS = ['on', 'once', 'removeListener', 'write', 'end', 'pause', 'resume', 'destroy']

/** A stream that a connection can go over. */
function duplex (name, value) {
  const isDuplex = value !== null && typeof value === 'object' &&
    DUPLEX_METHODS.every((method) => typeof value[method] === 'function')
  if (!isDuplex) throw invalid(name, 'a stream.Duplex', value)
  if (value.readableObjectMode || value.writableObjectMode) throw invalid(name, 'a stream.Duplex of bytes', value)
  if (value.readableEncoding) throw invalid(name, 'a stream.Duplex without an encoding', value)
  return value
}

/** The arguments (port | path | options, host?) as one object. A string that is not a number is a path, as in net. */
function positional (first, host) {
  if (typeof first === 'object' && first !== null) return first
  if (typeof first === 'string' && !(Number(first) >= 0)) return { path: first }
  const options = { port: first }
  if (host !== undefined && host !== null) options.host = host
  return options
}

// The first window of a stream or a connection, and the limit of its growth. If only one is given, the other is
// adjusted.
function windows (options, first, most) {
  const d = CONNECTION_DEFAULTS
  const limit = integer(options, most, 1, MAX_UINT31, Math.max(d[most], integer(options, first, 1, MAX_UINT31, 1)))
  const window = integer(options, first, 1, MAX_UINT31, Math.min(d[first], limit))
  if (window > limit) throw invalid(`options.${first}`, `at most options.${most}, ${limit}`, window)
  return { [first]: window, [most]: limit }
}

function connectionOptions (options) {
  const d = CONNECTION_DEFAULTS
  const count = (name, min, max) => integer(options, name, min, max, d[name])
  return {
    noDelay: boolean(options, 'noDelay', d.noDelay),
    keepAlive: boolean(options, 'keepAlive', d.keepAlive),
    keepAliveInitialDelay: integer(options, 'keepAliveInitialDelay', 0, MAX_UINT31, d.keepAliveInitialDelay),
    allowHalfOpen: boolean(options, 'allowHalfOpen', d.allowHalfOpen),
    captureRejections: boolean(options, 'captureRejections', d.captureRejections),
    protocol: oneOf(options, 'protocol', ['auto', 'legacy', 'qmux'], d.protocol),
    peer: oneOf(options, 'peer', ['auto', 'new'], d.peer),
    readableHighWaterMark: integer(options, 'readableHighWaterMark', 1, MAX_UINT31, d.readableHighWaterMark),
    writableHighWaterMark: integer(options, 'writableHighWaterMark', 1, MAX_UINT31, d.writableHighWaterMark),
    unclaimedLimit: integer(options, 'unclaimedLimit', 0, MAX_UINT31, d.unclaimedLimit),
    maxMetaSize: integer(options, 'maxMetaSize', 4, MAX_UINT31, d.maxMetaSize),
    maxMetaTotal: integer(options, 'maxMetaTotal', 4, MAX_UINT31, d.maxMetaTotal),
    maxEndValueSize: integer(options, 'maxEndValueSize', 4, MAX_UINT31, d.maxEndValueSize),
    maxJsonDepth: integer(options, 'maxJsonDepth', 1, 1e6, d.maxJsonDepth),
    maxStreams: count('maxStreams', 1, MAX_SAFE),
    maxIncomingStreams: count('maxIncomingStreams', 0, MAX_SAFE),
    maxPendingStreams: count('maxPendingStreams', 1, MAX_UINT31),
    ...windows(options, 'streamWindow', 'maxStreamWindow'),
    ...windows(options, 'connectionWindow', 'maxConnectionWindow'),
    maxHeld: count('maxHeld', 0, MAX_UINT31),
    maxRecordSize: count('maxRecordSize', MIN_RECORD, MAX_UINT31),
    idleTimeout: count('idleTimeout', 0, MAX_UINT31),
    pingInterval: count('pingInterval', 0, MAX_UINT31),
    pingTimeout: count('pingTimeout', 0, MAX_UINT31),
    handshakeTimeout: count('handshakeTimeout', 0, MAX_UINT31),
    directSendLimit: count('directSendLimit', 0, MAX_UINT31),
    maxResets: count('maxResets', 1, MAX_UINT31),
    maxPings: count('maxPings', 1, MAX_UINT31),
    maxEmptyFrames: count('maxEmptyFrames', 1, MAX_UINT31),
    maxUselessFrames: count('maxUselessFrames', 1, MAX_UINT31)
  }
}

// As net, which takes any number from 0 on, and Infinity.
function limit (options, name) {
  const value = options[name]
  if (value === undefined) return Infinity
  if (typeof value !== 'number' || !(value >= 0)) throw invalid(`options.${name}`, 'a number from 0 on', value)
  return value
}

// A reason goes into one frame of the wire, and into somebody's log.
const MAX_REASON = 1024

/** The reason of a close, for the wire. */
function closeReason (value) {
  if (typeof value === 'string' && Buffer.byteLength(value) <= MAX_REASON) return value
  throw invalid('reason', `a string of at most ${MAX_REASON} bytes`, value)
}

function blockList (options) {
  const value = options.blockList
  if (value === undefined || value instanceof net.BlockList) return value
  throw invalid('options.blockList', 'a net.BlockList', value)
}

function attachedServer (options) {
  const value = options.server
  if (value === undefined || value instanceof net.Server) return value
  throw invalid('options.server', 'a net.Server, tls.Server, http.Server or https.Server', value)
}

// With a server that speaks HTTP, a path is that of a URL.
function urlPath (options, server) {
  const value = string(options, 'path')
  if (value === undefined) return undefined
  if (!isHttp(server)) throw invalid('options.path', 'left out, unless options.server speaks HTTP', value)
  if (!value.startsWith('/') || value.includes('?')) throw invalid('options.path', "the path of a URL, such as '/mux'", value)
  return value
}

/** Whether a server speaks HTTP/1.1, and so has 'upgrade'. */
function isHttp (server) { return server instanceof http.Server || server instanceof https.Server }

/** The arguments of `new MuxServer(...)`, checked and complete. */
function serverOptions (first, host) {
  const options = positional(first, host)
  checkPlaces(options)
  const noServer = boolean(options, 'noServer', false)
  const server = attachedServer(options)
  const listens = !noServer && server === undefined
  if (noServer && server !== undefined) throw invalid('options.noServer', 'false if there is options.server', true)
  const fd = listens ? integer(options, 'fd', 0, MAX_UINT31, undefined) : undefined
  const path = server !== undefined ? urlPath(options, server) : listens && fd === undefined ? filePath(options) : undefined
  return {
    fd,
    listens,
    server,
    takeOver: boolean(options, 'takeOver', true),
    path,
    // If no port is given, the system chooses one, as for net.Server.listen().
    port: listens && fd === undefined && path === undefined ? port(options, 0) : undefined,
    host: string(options, 'host') || undefined,
    backlog: integer(options, 'backlog', 0, MAX_UINT31, BACKLOG),
    ipv6Only: boolean(options, 'ipv6Only', false),
    reusePort: boolean(options, 'reusePort', false),
    exclusive: boolean(options, 'exclusive', false), // as net
    readableAll: boolean(options, 'readableAll', false),
    writableAll: boolean(options, 'writableAll', false),
    maxConnections: limit(options, 'maxConnections'),
    maxConnectionsPerAddress: limit(options, 'maxConnectionsPerAddress'),
    blockList: blockList(options),
    proxyProtocol: proxyProtocol(options.proxyProtocol),
    verifyConnection: callback('options.verifyConnection', options.verifyConnection),
    tls: serverTls(options.tls, options.protocol),
    signal: signal(options),
    connection: connectionOptions(options)
  }
}

function family (options) {
  const value = options.family
  if (value === undefined || value === null) return 0
  if (value === 'IPv4') return 4
  if (value === 'IPv6') return 6
  if (value === 0 || value === 4 || value === 6) return value
  throw invalid('options.family', "one of 0, 4, 6, 'IPv4', 'IPv6'", value)
}

/** The arguments of `new MuxClient(...)`, checked and complete. */
function clientOptions (first, host) {
  const options = positional(first, host)
  checkPlaces(options)
  const socket = options.socket === undefined ? undefined : duplex('options.socket', options.socket)
  const path = socket === undefined ? filePath(options) : undefined
  const number = socket === undefined && path === undefined ? port(options, undefined) : undefined
  if (socket === undefined && path === undefined && number === undefined) {
    throw invalid('options.port', 'a port, or options.path a path', options.port)
  }
  const localAddress = string(options, 'localAddress') || undefined
  if (localAddress !== undefined && net.isIP(localAddress) === 0) {
    throw invalid('options.localAddress', 'an IP address', localAddress)
  }
  return {
    socket,
    takeOver: boolean(options, 'takeOver', true),
    path,
    port: number,
    host: string(options, 'host') || 'localhost',
    family: family(options),
    hints: integer(options, 'hints', 0, MAX_UINT31, 0),
    lookup: callback('options.lookup', options.lookup),
    localAddress,
    localPort: integer(options, 'localPort', 0, 65535, undefined),
    autoSelectFamily: boolean(options, 'autoSelectFamily', net.getDefaultAutoSelectFamily()),
    autoSelectFamilyAttemptTimeout: Math.max(MIN_ATTEMPT_TIMEOUT, integer(options, 'autoSelectFamilyAttemptTimeout',
      1, MAX_UINT31, net.getDefaultAutoSelectFamilyAttemptTimeout())),
    tls: clientTls(options.tls, string(options, 'host') || 'localhost', options.protocol),
    signal: signal(options),
    connection: connectionOptions(options)
  }
}

/** The urgency of a stream, in the words of RFC 9218. @returns {number} the argument of the command PRIORITY */
function priority (value) {
  if (typeof value !== 'object' || value === null) throw invalid('priority', 'an object', value)
  // The default is the middle of 0 (first) to 7, with turns among equals: that is fair, and was always so.
  const urgency = integer(value, 'urgency', 0, URGENCY, 3)
  return boolean(value, 'incremental', true) ? urgency | INCREMENTAL : urgency
}

/** The options of createStream(). */
function streamOptions (options) {
  if (typeof options !== 'object' || options === null) throw invalid('options', 'an object', options)
  return {
    messages: boolean(options, 'messages', true),
    signal: signal(options),
    priority: options.priority === undefined ? undefined : priority(options.priority)
  }
}

/** A code for the wire: an integer that both QUIC and a JavaScript number can represent. */
function wireCode (value) { return integerIn('code', value, 0, MAX_SAFE) }

/**
 * The part of a connection's settings that native code uses, with the names and the groups that native code has for it.
 */
function nativeSettings (settings) {
  return {
    noDelay: settings.noDelay,
    keepAlive: settings.keepAlive,
    keepAliveDelay: settings.keepAliveInitialDelay,
    // Half of it: a writer that is woken there can fill the other half while the kernel takes the rest.
    lowWater: Math.floor(settings.writableHighWaterMark / 2),
    directSendLimit: settings.directSendLimit ?? null,
    protocol: {
      protocol: settings.protocol,
      peerNew: settings.peer === 'new',
      handshakeTimeout: settings.handshakeTimeout,
      maxMetaSize: settings.maxMetaSize,
      maxMetaTotal: settings.maxMetaTotal,
      maxEndValueSize: settings.maxEndValueSize,
      maxJsonDepth: settings.maxJsonDepth,
      holdLimit: settings.readableHighWaterMark,
      qmux: {
        streamWindow: settings.streamWindow,
        maxStreamWindow: settings.maxStreamWindow,
        connectionWindow: settings.connectionWindow,
        maxConnectionWindow: settings.maxConnectionWindow,
        maxHeld: settings.maxHeld,
        maxIncomingStreams: settings.maxIncomingStreams,
        maxPendingStreams: settings.maxPendingStreams,
        maxRecordSize: settings.maxRecordSize,
        idleTimeout: settings.idleTimeout,
        pingInterval: settings.pingInterval,
        pingTimeout: settings.pingTimeout,
        maxResets: settings.maxResets,
        maxPings: settings.maxPings,
        maxEmptyFrames: settings.maxEmptyFrames,
        maxUselessFrames: settings.maxUselessFrames
      }
    }
  }
}

module.exports = {
  CONNECTION_DEFAULTS,
  MAX_JSON,
  MAX_UINT31,
  callback,
  clientOptions,
  closeReason,
  duplex,
  integerIn,
  isHttp,
  nativeSettings,
  priority,
  serverOptions,
  streamOptions,
  wireCode
}
