'use strict'

// Which wire is spoken in which direction, and what is known of the peer.
//
// This file may not: send anything, or decide which wire is spoken: native code does.

const { peers, wires } = require('./boundary')

const { SENDS, RECEIVES, FOREIGN, HEARS_UNREAD } = wires
const SWITCHED = SENDS | RECEIVES

const { UNDECIDED, OLD, NEW } = peers
const NAMES = Object.keys(peers).map((name) => name.toLowerCase()) // by number

class Wires {
  /** @param {string} protocol the option */
  constructor (protocol) {
    this._isLegacy = protocol === 'legacy'
    this._bits = protocol === 'qmux' ? SWITCHED : 0
    this._peer = UNDECIDED
  }

  /** Native code says what is spoken. */
  onWires (bits) { this._bits = bits }

  onPeer (isNew) { this._peer = isNew ? NEW : OLD }

  /** The kind of the peer, as native code counts it. What is known of the peer stays known. */
  notePeer (kind) { if (this._peer === UNDECIDED) this._peer = kind }

  /** Whether what this end sends are QMux records: then streams have both directions. */
  get sendsQmux () { return (this._bits & SENDS) !== 0 }

  /** Whether this end sends QMux records, or may yet turn out to. */
  get maySendQmux () { return this.sendsQmux || (this._peer === UNDECIDED && !this._isLegacy) }

  get isSwitched () { return (this._bits & SWITCHED) === SWITCHED }

  /** Whether a ping can be sent, or may yet turn out to. */
  get mayPing () { return this.isSwitched || (this._peer !== OLD && !this._isLegacy) }

  /** Whether the peer says when nobody there reads an answer. A foreign one has no way to. */
  get hearsUnread () { return (this._bits & HEARS_UNREAD) !== 0 }

  /** The peer as stats() names it. */
  get peerName () { return (this._bits & FOREIGN) !== 0 ? 'foreign' : NAMES[this._peer] }
}

module.exports = { Wires }
