'use strict'

// What a handshake has agreed on, and who the peer is, with the names of tls.TLSSocket.
//
// This file may not: decide whether a connection goes on.

const { X509Certificate } = require('node:crypto')

class Secure {
  /** @param told the text of native code, parsed */
  constructor (told) {
    this.protocol = told.protocol
    this.cipher = told.cipher
    this.alpnProtocol = told.alpn ?? false
    this.servername = told.servername ?? false
    this.isReused = told.resumed
    this.authorizationError = told.authorizationError ?? null
    this._encoded = told.peerCertificates
    this._chain = null // the peer's certificates, its own first, once somebody asks
  }

  /** Whether the peer showed a certificate. */
  get hasPeer () { return this._encoded.length > 0 }

  /** The peer's certificates, its own first. @returns {X509Certificate[]} */
  get chain () {
    this._chain ??= this._encoded.map((text) => new X509Certificate(Buffer.from(text, 'base64')))
    return this._chain
  }

  /** As tls.TLSSocket.getPeerCertificate(): {} if the peer has none. */
  peerCertificate (detailed) {
    if (!this.hasPeer) return {}
    if (!detailed) return this.chain[0].toLegacyObject()
    const all = this.chain.map((certificate) => certificate.toLegacyObject())
    for (const [i, certificate] of all.entries()) {
      const isRoot = this.chain[i].checkIssued(this.chain[i])
      if (isRoot) certificate.issuerCertificate = certificate
      else if (i + 1 < all.length) certificate.issuerCertificate = all[i + 1]
    }
    return all[0]
  }
}

module.exports = { Secure }
