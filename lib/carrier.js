'use strict'

// A carrier: a stream.Duplex of the program's in place of a socket. What the duplex delivers goes to native code, and what
// native code wants sent is written to the duplex, within the turn in which it came up.
//
// This file may not: know what the bytes mean, or emit anything on a connection.

const net = require('node:net')
const { constants: { errno: { ECONNRESET, EPIPE } } } = require('node:os')
const { types: { isUint8Array } } = require('node:util')
const { carried: bit } = require('./boundary')
const carriers = require('./carriers')
const context = require('./context')
const engine = require('./engine')
const { callerError, systemError } = require('./errors')
const { nativeSettings } = require('./options')

// The length of a slab that outbound bytes are cut from: two or three of the longest frames, or many turns of short ones.
const SLAB = 128 * 1024

// A slab with less room left is given up, so that long writes stay long.
const MIN_ROOM = 16 * 1024

// The bits of a carrier stand above the length of what was taken.
const BITS_AT = 24
const LENGTH = (1 << BITS_AT) - 1

// The time that a duplex has to take the last bytes of a connection that was destroyed: as long as native code lingers.
const PATIENCE = 1000 // ms

const NOTHING = new Uint8Array(0)
// Unused memory that outbound bytes go into.
let slab = Buffer.alloc(0)
let used = 0

class Carrier {
  constructor (duplex, connection) {
    this._duplex = duplex
    this._connection = connection
    this._native = null
    this._id = -1
    this.error = undefined // why the duplex failed
    this._isScheduled = false
    this._isTaking = false
    this._isBlocked = false // write() returned false
    this._hasWritten = false
    this._isFinished = false // end() was called
    this._hasEnded = false // 'end' was emitted
    this._isOver = false // the connection is done with the duplex
    this._isGone = false // the duplex can neither be read nor written any more
    connection._carrier = this
    connection._setEnds(this.ends)
    duplex.on('error', (error) => this._fail(error))
    duplex.on('close', () => this._onClose())
    // Half of the connection may go on. Node itself would end the other half.
    duplex.allowHalfOpen = true
  }

  /** Whether the duplex is, or was, encrypted by Node's tls. */
  get isEncrypted () { return this._duplex.encrypted === true }

  get ends () { return endsOf(this._duplex) }

  /** Calls `done` in a later turn, as soon as the duplex is connected. */
  whenUsable (done) {
    const duplex = this._duplex
    if (duplex.destroyed) return process.nextTick(() => this._onClose())
    let isUsable = false
    const usable = () => {
      if (isUsable || this._isGone || duplex.destroyed || isConnecting(duplex)) return
      isUsable = true
      done()
    }
    if (!isConnecting(duplex)) return process.nextTick(usable)
    for (const event of ['connect', 'secureConnect', 'secure']) duplex.once(event, usable)
  }

  /**
   * Starts the native connection. CONNECTED follows, or the connection is destroyed by what prevents it.
   * @param server the number of the server that accepted the duplex, if one did
   * @param asksForNames whether that server has something else to be for some names
   * @param refusal what the peer is told if the server does not let it in
   * @param tls how a client encrypts the connection
   */
  start ({ server, asksForNames = false, refusal, tls }) {
    const duplex = this._duplex
    const connection = this._connection
    this._id = carriers.register(this)
    const settings = JSON.stringify({
      server,
      asksForNames,
      // A peer that comes back has used up what others at its address have.
      remote: server !== undefined && net.isIP(duplex.remoteAddress) !== 0 ? duplex.remoteAddress.split('%')[0] : null,
      ends: this.ends,
      refusal,
      connection: nativeSettings(connection._settings),
      tls
    })
    let native
    try {
      native = engine.native.carry(this._id, settings)
    } catch (error) {
      carriers.forget(this._id)
      return connection.destroy(error) // certificates and keys that cannot be used
    }
    if (typeof native === 'number') {
      carriers.forget(this._id)
      connection.destroy(systemError(native, 'open'))
      return
    }
    this._native = native
    const { noDelay, keepAlive, keepAliveInitialDelay } = connection._settings
    if (noDelay) this.setNoDelay(true)
    if (keepAlive) this.setKeepAlive(true, keepAliveInitialDelay)
    connection._start(native.number())
    if (duplex.destroyed) return process.nextTick(() => this._onClose())
    if (duplex.readableEnded) this._onEnd()
    this._onData = (chunk) => this._deliver(chunk)
    duplex.on('data', this._onData).on('end', () => this._onEnd()).on('drain', () => this._onDrain())
    duplex.resume()
    this.takeSoon()
  }

  // ---- in ----

  _deliver (chunk) {
    if (this._native === null) return
    if (!isUint8Array(chunk)) return this._fail(callerError('ERR_MUX_CARRIER_CHUNK', chunk))
    if (this._native.deliver(chunk)) this._duplex.pause()
    engine.wakeSoon()
    this.takeSoon()
  }

  _onEnd () {
    this._hasEnded = true
    if (this._native !== null) this._native.end()
  }

  _onClose () {
    if (this._isGone || this._isOver) return
    // A duplex that ended in order may be gone before this end has ended. That matters only to what is still written.
    if (!this._hasEnded) this._fail(this._duplex.errored ?? systemError(-ECONNRESET, 'read'))
    this._isGone = true
    this._isBlocked = false // no 'drain' will come
    this.takeSoon()
  }

  _fail (error) {
    if (this.error !== undefined || this._isOver) return
    this.error = error
    if (this._native !== null) this._native.fail()
    else if (!this._connection.destroyed) this._connection.destroy(error)
  }

  // ---- out ----

  /** There may be something to be sent, or native code asks to be looked at. */
  takeSoon () {
    if (this._isScheduled) return
    this._isScheduled = true
    process.nextTick(take, this)
  }

  _onDrain () {
    this._isBlocked = false
    this._take()
  }

  _take () {
    if (this._isTaking || this._native === null) return
    // A write may bring about more that is to be written.
    this._isTaking = true
    try {
      while (this._native !== null && this._takeOnce());
    } finally {
      this._isTaking = false
    }
  }

  // Returns whether there may be more.
  _takeOnce () {
    const isBlocked = this._isBlocked
    if (!isBlocked && slab.length - used < MIN_ROOM) {
      slab = Buffer.allocUnsafeSlow(SLAB)
      used = 0
    }
    const taken = isBlocked ? this._native.take(NOTHING, 0) : this._native.take(slab, used)
    const length = taken & LENGTH
    const bits = taken >>> BITS_AT
    if (bits & bit.RESUME) this._duplex.resume()
    if (bits & bit.RESET) {
      this._close(true)
      return false
    }
    if (length > 0) this._write(length)
    if (bits & bit.FINISHED) this._finish()
    if (bits & bit.OVER) this._close(false)
    return (bits & bit.MORE) !== 0 && !isBlocked && !this._isBlocked
  }

  _write (length) {
    const bytes = slab.subarray(used, used + length)
    used += length + 7 & ~7
    this._hasWritten = true
    if (this._isGone) return this._fail(systemError(-EPIPE, 'write'))
    try {
      this._isBlocked = !this._duplex.write(bytes)
    } catch (error) {
      this._fail(error)
    }
  }

  _finish () {
    if (this._isFinished) return
    this._isFinished = true
    if (!this._isGone) this._duplex.end()
  }

  /** The process exits: what waits is written, whatever the duplex says. @returns {boolean} whether there was anything */
  flushAtExit () {
    if (this._native === null) return false
    let hasWritten = false
    for (;;) {
      this._isBlocked = false
      this._hasWritten = false
      this._takeOnce()
      if (!this._hasWritten || this._native === null) return hasWritten
      hasWritten = true
    }
  }

  // ---- the end ----

  /** The connection ended before it began. */
  drop () {
    this._isOver = true
    this._duplex.destroy()
  }

  // Nobody uses the duplex any more.
  _close (isReset) {
    const duplex = this._duplex
    this._isOver = true
    this._native = null
    carriers.forget(this._id)
    if (isReset) return reset(duplex)
    if (this._isGone || this.error !== undefined) return duplex.destroy()
    duplex.removeListener('data', this._onData)
    duplex.resume() // what still comes is of no interest
    const isComplete = this._isFinished && this._hasEnded
    this._finish()
    if (duplex.writableFinished) return duplex.destroy()
    duplex.once('finish', () => duplex.destroy())
    // What an orderly end has left in the duplex has all the time that it takes.
    if (!isComplete) context.later(PATIENCE, destroy, duplex)
  }

  // ---- options, where the duplex has them ----

  setNoDelay (noDelay) { this._duplex.setNoDelay?.(noDelay) }

  setKeepAlive (enable, delay) { this._duplex.setKeepAlive?.(enable, delay) }

  ref () { this._duplex.ref?.() }

  unref () { this._duplex.unref?.() }
}

function take (carrier) {
  carrier._isScheduled = false
  carrier._take()
}

function destroy (duplex) { duplex.destroy() }

// Only a TCP socket can tell its peer of a reset.
function reset (duplex) {
  try {
    if (typeof duplex.resetAndDestroy === 'function') duplex.resetAndDestroy()
  } catch {}
  duplex.destroy()
}

function isConnecting (duplex) { return duplex.connecting === true || duplex.secureConnecting === true }

/** The addresses of both ends of a duplex, in the form of native code. */
function endsOf ({ localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily }) {
  return {
    local: describe(localAddress, localFamily, localPort),
    remote: describe(remoteAddress, remoteFamily, remotePort)
  }
}

function describe (address, family, port) {
  return typeof address === 'string' ? { address, family, port } : null
}

module.exports = { Carrier, endsOf }
