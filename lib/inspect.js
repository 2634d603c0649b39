'use strict'

// The short forms of this package's objects for console.log() and util.inspect(), on one line if they fit.
//
// This file may not: throw, or change what it shows.

const { inspect } = require('node:util')
const { SHORT, UNPARSED } = require('./meta')
const { READS, WRITES } = require('./stream-state')

/**
 * Adds the short form to a class. `describe` returns a plain object of what is shown.
 * @param {string} name for objects whose constructor has none
 */
function inspectable (Class, name, describe) {
  Object.defineProperty(Class.prototype, inspect.custom, {
    configurable: true,
    writable: true,
    value (depth, options) {
      const title = titleOf(this, name)
      if (depth < 0) return options.stylize(`[${title}]`, 'special')
      try {
        return `${title} ${inspect(describe(this), { ...options, depth })}`
      } catch {
        // A prototype has none of the fields, and a value of the program's may refuse to be inspected.
        return options.stylize(`[${title}]`, 'special')
      }
    }
  })
}

function titleOf (object, name) {
  try {
    return object.constructor.name || name
  } catch {
    return name
  }
}

function place (address, family, port) {
  if (address === undefined) return undefined
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`
}

function describeConnection (connection) {
  const shown = {
    local: place(connection.localAddress, connection.localFamily, connection.localPort),
    remote: place(connection.remoteAddress, connection.remoteFamily, connection.remotePort),
    state: connection.readyState,
    protocol: connection.protocol,
    streams: connection._streams.table.live
  }
  if (connection._failure !== null) shown.error = connection._failure.code || connection._failure.message
  if (shown.local === undefined) delete shown.local
  if (shown.remote === undefined) delete shown.remote
  return shown
}

const describeClient = (client) => describeConnection(client._connection)

function describeServer (server) {
  const address = server.address()
  const isSocket = address !== null && typeof address === 'object'
  return {
    address: isSocket ? place(address.address, address.family, address.port) : address,
    connections: server._connections.size
  }
}

function describeStream (stream) {
  const shown = { id: stream.id, meta: metaOf(stream), reading: readingOf(stream), writing: writingOf(stream) }
  if (stream.destroyed) shown.destroyed = true
  if (stream.errored) shown.error = stream.errored.code || stream.errored.message
  return shown
}

// A long text that the program has not looked at is not parsed here, because the parsing may be too costly.
function metaOf (stream) {
  if (stream._metaCost !== UNPARSED) return stream._meta
  return stream._meta.length < SHORT ? JSON.parse(stream._meta) : `${stream._meta.length} characters of JSON`
}

// The states of a stream's halves, as Node knows them. On the legacy wire a stream has one half.
function readingOf (stream) {
  if (stream._halves === WRITES) return 'none'
  if (stream.readableEnded) return 'ended'
  return stream.readableFlowing === null ? 'waiting' : stream.readableFlowing ? 'flowing' : 'paused'
}

function writingOf (stream) {
  if (stream._halves === READS) return 'none'
  if (stream.writableFinished) return 'finished'
  if (stream.writableEnded) return 'ended'
  return stream.writableNeedDrain ? 'full' : 'open'
}

module.exports = { describeClient, describeConnection, describeServer, describeStream, inspectable }
