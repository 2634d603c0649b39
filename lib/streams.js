'use strict'

// The streams of one connection: the table, the streams and opens that wait for something, and how many streams may
// live.
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
    this.sweep = new Sweep(connection) // looks for streams that the program cannot reach
    this._outliving = new Outliving() // streams that native code has closed and the program is not done with
  }

  /** All streams that the program may still wait for, and the opens. */
  all () { return this.table.entries().concat(this._outliving.entries()) }

  /**
   * The number of streams that count against the limit. Version 0.1.0 takes the ids of both directions from one table.
   */
  get counted () { return this._connection._wires.sendsQmux ? this.table.localLive : this.table.live }

  /** The number of streams that may live. */
  get limit () {
    const { _settings: { maxStreams }, _wires: wires } = this._connection
    // While the peer may still turn out to be new, more streams may wait than an old peer accepts.
    return wires.maySendQmux ? maxStreams : Math.min(maxStreams, LEGACY_STREAMS)
  }

  countDown (handle) {
    if (!this._connection.destroyed) this.table.countDown(handle)
  }

  /** Sends the opens that waited for the connect. */
  sendOpens () {
    const { unsent } = this
    this.unsent = []
    for (const open of unsent) open._send()
  }

  /** Native code has closed a stream that the program is not done with. */
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

  /** The connection carries nothing any more. @returns all streams and opens that it had */
  clear () {
    const streams = this.all()
    this.table = new StreamTable()
    this.unsent = []
    return streams
  }
}

// Somebody began to listen to a stream after its connection had ended.
function endStream (stream) {
  stream._onConnectionEnd(stream._connection._reason(), true)
}

module.exports = { Streams }
