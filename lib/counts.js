'use strict'

// The numbers that stats() reports of a connection.
//
// This file may not: flush in moved(), which is called while a flush is under way.

const engine = require('./engine')

class Counts {
  constructor (connection) {
    this._connection = connection
    this._read = 0 // bytes, as native code counted them last
    this._written = 0
    this.opened = 0
    this.accepted = 0
    this.discardedStreams = 0
    this.discardedBytes = 0
  }

  discard (streams, bytes) {
    this.discardedStreams += streams
    this.discardedBytes += bytes
  }

  /** @returns {{ read: number, written: number, queued: number }} bytes received; bytes sent or queued; bytes queued */
  bytes () {
    if (this._connection._link.isOpen) engine.flush()
    const counts = this._ofNative()
    if (counts.peer !== undefined) this._connection._wires.notePeer(counts.peer)
    return counts
  }

  /** What con.stats() returns. */
  stats () {
    const { _wires: wires, _streams: streams, protocol } = this._connection
    const { read: bytesRead, written: bytesWritten, queued: queuedBytes } = this.bytes()
    return {
      bytesRead,
      bytesWritten,
      queuedBytes,
      streamsOpened: this.opened,
      streamsAccepted: this.accepted,
      streamsLive: streams.table.live,
      discardedStreams: this.discardedStreams,
      discardedBytes: this.discardedBytes,
      peer: wires.peerName,
      protocol
    }
  }

  _ofNative () {
    const { number, isOpen } = this._connection._link
    const counts = isOpen ? engine.native.stats(number) : null
    return counts ?? { read: this._read, written: this._written, queued: 0, peer: undefined }
  }

  /** Keeps the numbers of bytes, because native code is about to stop counting. */
  remember () {
    const { read, written } = this.bytes()
    this._read = read
    this._written = written
  }

  /** Native code has closed the connection, and reports its final counts. */
  onClosed ({ bytesRead = this._read, bytesWritten = this._written }) {
    this._read = bytesRead
    this._written = bytesWritten
  }

  /** The number of bytes that really moved, in both directions. */
  moved () {
    const { read, written, queued } = this._ofNative()
    return read + written - queued
  }
}

module.exports = { Counts }
