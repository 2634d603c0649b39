'use strict'

// The wire that is spoken in each direction, and what is known of the peer.
//
// This file may not: send anything, or decide which wire is spoken, which native code does.

const { peers, wires } = require('./boundary')

const { SENDS, RECEIVES, FOREIGN, HEARS_UNREAD } = wires
const SWITCHED = SENDS | RECEIVES

const { UNDECIDED, OLD, NEW } = peers
const NAMES = Object.keys(peers).map((name) => name.toLowerCase()) // by number

class Wires {
  /** @param {string} protocol the option `protocol` */
  constructor (protocol) {
    this._isLegacy = protocol === 'legacy'
    this._bits = protocol === 'qmux' ? SWITCHED : 0
    this._peer = UNDECIDED
  }

  /** Native code reports which wires are spoken. */
  onWires (bits) { this._bits = bits }

  onPeer (isNew) { this._peer = isNew ? NEW : OLD }

  /** Native code has counted with this kind of peer. A kind that is known already stays. */
  notePeer (kind) { if (this._peer === UNDECIDED) this._peer = kind }

  /** Whether this end sends QMux records. If so, streams have both directions. */
  get sendsQmux () { return (this._bits & SENDS) !== 0 }

  /** Whether this end sends QMux records, or may still turn out to. */
  get maySendQmux () { return this.sendsQmux || (this._peer === UNDECIDED && !this._isLegacy) }

  get isSwitched () { return (this._bits & SWITCHED) === SWITCHED }

  /** Whether a ping can be sent, or may still turn out to be possible. */
  get mayPing () { return this.isSwitched || (this._peer !== OLD && !this._isLegacy) }

  /** Whether the peer says when nobody there reads an answer. A foreign peer has no way to say so. */
  get hearsUnread () { return (this._bits & HEARS_UNREAD) !== 0 }

  /** The peer as stats() names it. */
  get peerName () { return (this._bits & FOREIGN) !== 0 ? 'foreign' : NAMES[this._peer] }
}

module.exports = { Wires }
