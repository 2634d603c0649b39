'use strict'

// The option `server` of a MuxServer: another server, of Node's net, tls, http or https, that listens and gives this one
// its connections.
//
// This file may not: close the other server, or take a request that is for somebody else.

const { STATUS_CODES } = require('node:http')
const tls = require('node:tls')
const context = require('./context')
const { isHttp } = require('./options')

/** The protocol's name in the header `Upgrade`. */
const PROTOCOL = 'tcp-stream-muxer'

// The attachments of each server, in the order in which they came.
const attachments = new WeakMap()

class Attachment {
  /** @param path for a server that speaks HTTP: the only path whose upgrades are taken */
  constructor (muxer, server, path) {
    this._muxer = muxer
    this._server = server
    this._path = path
    this._listeners = {
      listening: () => this._onListening(),
      error: (error) => this._onError(error),
      close: () => { muxer.listening = false },
      ...(isHttp(server)
        ? { upgrade: (request, socket, head) => this._onUpgrade(request, socket, head) }
        : { [server instanceof tls.Server ? 'secureConnection' : 'connection']: (socket) => muxer._acceptFrom(socket) })
    }
    for (const [event, listener] of Object.entries(this._listeners)) server.on(event, listener)
    this._all = attachments.get(server) ?? new Set()
    attachments.set(server, this._all.add(this))
    if (server.listening) process.nextTick(() => this._onListening())
  }

  /** The other server's address. */
  address () { return this._muxer.listening ? this._server.address() : null }

  /** Leaves the other server as it was. */
  close () {
    this._all.delete(this)
    for (const [event, listener] of Object.entries(this._listeners)) this._server.removeListener(event, listener)
  }

  // The other server keeps the process alive, or does not.
  keepAlive () {}

  _onListening () {
    const server = this._muxer
    if (server._closing || !this._server.listening) return
    server.listening = true
    context.emit(server._context, server, 'listening')
  }

  // The error is reported once: by whoever has a listener, and else here.
  _onError (error) {
    const server = this._muxer
    const all = [...this._all]
    const isHeard = this._server.listenerCount('error') > all.length ||
      all.some((each) => each._muxer.listenerCount('error') > 0)
    if (server.listenerCount('error') > 0 || (!isHeard && this === all[0])) {
      context.emit(server._context, server, 'error', error)
    }
  }

  _isAt (url) { return this._path === undefined || url.split('?')[0] === this._path }

  _onUpgrade (request, socket, head) {
    const isOurs = request.headers.upgrade?.toLowerCase() === PROTOCOL
    const all = [...this._all]
    const taker = isOurs ? all.find((each) => each._isAt(request.url)) : undefined
    if (taker !== this) {
      // Without a listener of somebody else's, nobody would ever answer.
      const isAnswered = taker !== undefined || this._server.listenerCount('upgrade') > all.length
      if (!isAnswered && this === all[0]) refuse(socket, isOurs ? 404 : 426)
      return
    }
    if (request.method !== 'GET') return refuse(socket, 405)
    if (socket.destroyed) return
    socket.write(`HTTP/1.1 101 ${STATUS_CODES[101]}\r\nConnection: Upgrade\r\nUpgrade: ${PROTOCOL}\r\n\r\n`)
    if (head.length > 0) socket.unshift(head)
    socket.setTimeout(0)
    this._muxer._accept(socket, request)
  }
}

function refuse (socket, status) {
  socket.on('error', () => socket.destroy())
  socket.once('finish', () => socket.destroy())
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nUpgrade: ${PROTOCOL}\r\n` +
    'Content-Length: 0\r\n\r\n')
}

module.exports = { Attachment, PROTOCOL }
