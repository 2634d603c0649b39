'use strict'

// A server in a worker of node:cluster: net listens, so that the primary process decides which worker gets a connection,
// and native code takes over the sockets that net gets.
//
// This file may not: emit an event of a server, or know what becomes of a socket.

const cluster = require('node:cluster')
const net = require('node:net')
const { take } = require('./handover')

/**
 * Whether a server with these options listens through the primary process. A server that shares its port by the system,
 * or that shares nothing, listens by itself, as in net. On Windows a socket has no descriptor, and cannot be taken from
 * net: every server listens by itself there.
 */
function listensInCluster ({ reusePort, exclusive }) {
  return cluster.isWorker && !reusePort && !exclusive && process.platform !== 'win32'
}

class ClusterListener {
  /** @param server calls back: _opened(), _failed(error), _receive(taken), and close() if the worker disconnects */
  constructor (server, { path, port, host, fd, backlog, ipv6Only, readableAll, writableAll }) {
    this._isClosed = false
    const listener = new net.Server({ pauseOnConnect: true, allowHalfOpen: true })
    this._listener = listener
    // A worker that disconnects closes its servers by this method, and waits until they have closed.
    listener.close = (done) => { server.close(done) }
    listener.on('listening', () => {
      if (this._isClosed) this.close()
      else server._opened()
    })
    listener.on('error', (error) => server._failed(error))
    listener.on('connection', (socket) => {
      // A socket that breaks before its object is released concerns nobody: native code finds out by itself.
      socket.on('error', () => {})
      server._receive(take(socket))
    })
    // To net, `port: undefined` means any port.
    if (fd !== undefined) listener.listen({ fd }, backlog)
    else if (path !== undefined) listener.listen({ path, backlog, readableAll, writableAll })
    else listener.listen({ port, host, backlog, ipv6Only })
  }

  address () { return this._listener.address() }

  close () {
    this._isClosed = true
    net.Server.prototype.close.call(this._listener)
  }

  keepAlive (isWanted) {
    if (isWanted) this._listener.ref()
    else this._listener.unref()
  }
}

module.exports = { ClusterListener, listensInCluster }
