'use strict'

// The streams of one connection: by handle, those that wait for something, and how many may live.
//
// This file may not: emit events, or know what a stream carries.

const { op, REMOTE } = require('./boundary')
const { Outliving } = require('./outliving')
const { StreamTable } = require('./stream-table')
const { Unheard } = require('./unheard')
const { Sweep } = require('./unreachable')

// The legacy wire has one byte for the id of a stream.
const LEGACY_STREAMS = 256

class Streams {
  constructor (connection) {
    this._connection = connection
    this.table = new StreamTable()
    this.unsent = [] // opens that wait for the connect
    this.unheard = new Unheard(connection) // streams that wait for a 'stream' listener
    this.sweep = new Sweep(connection) // looks for streams which the program cannot reach
    this._outliving = new Outliving() // streams that native code is done with and the program is not
  }

  /** All streams that the program may still wait for, and the opens. */
  all () { return this.table.entries().concat(this._outliving.entries()) }

  /** How many streams count against the limit: version 0.1.0 draws the ids of both directions from one table. */
  get counted () { return this._connection._wires.sendsQmux ? this.table.localLive : this.table.live }

  /** How many streams may live. */
  get limit () {
    const { _settings: { maxStreams }, _wires: wires } = this._connection
    // While the peer may still turn out to be new, more than an old one takes may wait.
    return wires.maySendQmux ? maxStreams : Math.min(maxStreams, LEGACY_STREAMS)
  }

  countDown (handle) {
    if (!this._connection.destroyed) this.table.countDown(handle)
  }

  /** The opens that waited for the connect go out. */
  sendOpens () {
    const { unsent } = this
    this.unsent = []
    for (const open of unsent) open._send()
  }

  /** Native code is done with a stream, and the program is not. */
  outlives (stream) {
    if (this._connection.destroyed) setImmediate(endStream, stream)
    else this._outliving.add(stream)
  }

  /** A closed stream's handle may be used again. */
  free (handle) {
    const link = this._connection._link
    if (!link.isOpen) return
    this.table.remove(handle)
    if ((handle & REMOTE) !== 0) link.command(op.FORGET, handle, 0)
  }

  /** The connection carries nothing any more. @returns all that it had */
  clear () {
    const streams = this.all()
    this.table = new StreamTable()
    this.unsent = []
    return streams
  }
}

// Somebody listens to a stream that the connection has left behind.
function endStream (stream) {
  stream._onConnectionEnd(stream._connection._reason(), true)
}

module.exports = { Streams }
