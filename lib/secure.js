'use strict'

// What a handshake has agreed on, and who the peer is, with the names of tls.TLSSocket.
//
// This file may not: end a connection.

const net = require('node:net')
const { X509Certificate } = require('node:crypto')
const context = require('./context')

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

  /**
   * Judges the server by what the client's program expects of it. @param expected as options.tls.clientTls() returns it
   * @returns {Error | undefined} what the connection is to end with
   */
  judge ({ servername, check, rejects }) {
    if (net.isIP(servername) === 0) this.servername = servername
    if (check === undefined || this.authorizationError !== null) return undefined
    const error = check(servername, this.peerCertificate(true))
    if (!error || rejects) return error || undefined
    this.authorizationError = error.code ?? 'ERR_TLS_CERT_ALTNAME_INVALID'
    return undefined
  }

  /** Whether the peer showed a certificate. */
  get hasPeer () { return this._encoded.length > 0 }

  /** The peer's certificates, its own first, as far as they can be read. @returns {X509Certificate[]} */
  get chain () {
    this._chain ??= readable(this._encoded)
    return this._chain
  }

  /** As tls.TLSSocket.getPeerCertificate(): {} if the peer has none. */
  peerCertificate (detailed) {
    if (this.chain.length === 0) return {}
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

// Only what leads to an authority was looked at in the handshake. Any peer may send something else behind that, or a
// certificate that OpenSSL does not read. Nothing is known of it, and nobody is to be surprised by an exception.
function readable (encoded) {
  const chain = []
  try {
    for (const text of encoded) chain.push(new X509Certificate(Buffer.from(text, 'base64')))
  } catch {}
  return chain
}

/**
 * The handshake of a connection is done.
 * @param told the text of native code, parsed
 * @returns {boolean} whether the connection goes on: the peer is who the program expects, as far as it judges that itself
 */
function establish (connection, told) {
  const { _context: asyncContext, _expected: expected } = connection
  const secure = new Secure(told)
  connection._secure = secure
  let error
  try {
    error = expected === null ? undefined : context.run(asyncContext, secure.judge, secure, expected)
    if (error === undefined) return true
  } catch (thrown) {
    // The program could not tell who the peer is.
    error = thrown
  }
  connection.destroy(error)
  return false
}

// What a connection shows of its encryption, with the names of tls.TLSSocket. In the clear, `_secure` is null.
const face = {
  /** Whether the connection is encrypted, here or by Node's tls below. */
  get encrypted () { return this._secure !== null || this._carrier?.isEncrypted === true },

  /** Whether the peer's certificate was verified. */
  get authorized () { return this._secure !== null && this._secure.hasPeer && this._secure.authorizationError === null },

  /** The code of what is wrong with the peer's certificate, if that was allowed; else null. */
  get authorizationError () { return this._secure === null ? null : this._secure.authorizationError },

  /** The application protocol that both ends agreed on, or false. */
  get alpnProtocol () { return this._secure === null ? false : this._secure.alpnProtocol },

  /** The server's name that the client asked for, or false. */
  get servername () { return this._secure === null ? false : this._secure.servername },

  /** The peer's certificate as an object: {} if it has none, null in the clear. */
  getPeerCertificate (detailed = false) { return this._secure === null ? null : this._secure.peerCertificate(detailed) },

  /** The peer's certificate; undefined if there is none. @returns {X509Certificate | undefined} */
  getPeerX509Certificate () { return this._secure === null ? undefined : this._secure.chain[0] },

  /** The version of TLS; null in the clear. */
  getProtocol () { return this._secure === null ? null : this._secure.protocol },

  /** The cipher suite, by OpenSSL's and IANA's names; {} in the clear. */
  getCipher () { return this._secure === null ? {} : { ...this._secure.cipher } },

  isSessionReused () { return this._secure !== null && this._secure.isReused }
}

/** Installs the face above on a class of connections. */
function installOn (prototype) {
  for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(face))) {
    Object.defineProperty(prototype, name, { ...property, enumerable: false })
  }
}

module.exports = { establish, installOn }
