'use strict'

// The options of TLS, named as Node's tls names them: what programs give, and what native code takes of it. Files are not
// read here, keys are decrypted, and everything that this package cannot do throws instead of being ignored.
//
// This file may not: look anything up, or judge a certificate.

const { createPrivateKey } = require('node:crypto')
const net = require('node:net')
const tls = require('node:tls')
const { callerError, invalid } = require('./errors')

const { SecureContext } = tls

/** The identifier of this package's protocol in TLS. With it both ends speak QMux from the first byte. */
const PROTOCOL = 'tcp-stream-muxer/1'

const VERSIONS = ['TLSv1.2', 'TLSv1.3']

// What both ends take.
const COMMON = ['key', 'cert', 'ca', 'passphrase', 'rejectUnauthorized', 'ALPNProtocols', 'minVersion', 'maxVersion',
  'sessionResumption', 'keylog']
const CLIENT = new Set([...COMMON, 'servername', 'checkServerIdentity'])
const CONTEXT = new Set([...COMMON, 'requestCert'])
const SERVER = new Set([...CONTEXT, 'SNICallback'])

// Options of Node's tls that have no counterpart here. A program that relies on one must not run without it unawares.
const UNSUPPORTED = new Set(['secureContext', 'pfx', 'crl', 'ciphers', 'sigalgs', 'ecdhCurve', 'dhparam', 'clientCertEngine',
  'privateKeyEngine', 'privateKeyIdentifier', 'secureOptions', 'secureProtocol', 'sessionIdContext', 'ticketKeys',
  'sessionTimeout', 'session', 'minDHSize', 'pskCallback', 'pskIdentityHint', 'ALPNCallback',
  'enableTrace', 'requestOCSP', 'honorCipherOrder', 'allowPartialTrustChain', 'highWaterMark', 'socket'])

// What belongs into `tls`. Outside of it such an option would be ignored, and the connection would be in the clear.
const MISPLACED = ['key', 'cert', 'ca', 'pfx', 'passphrase', 'requestCert', 'rejectUnauthorized', 'servername',
  'ALPNProtocols', 'minVersion', 'maxVersion', 'checkServerIdentity', 'SNICallback', 'secureContext', 'ciphers', 'crl']

/** Throws for options of TLS that stand beside `tls` instead of in it. */
function checkPlaces (options) {
  for (const name of MISPLACED) {
    if (options[name] === undefined) continue
    // A short text would be shown as it is.
    const shown = name === 'passphrase' ? Object(options[name]) : options[name]
    throw invalid(`options.${name}`, `given as options.tls.${name}`, shown)
  }
}

function boolean (options, name, fallback) {
  const value = options[name]
  if (value === undefined) return fallback
  if (typeof value !== 'boolean') throw invalid(`options.tls.${name}`, 'a boolean', value)
  return value
}

function text (name, value) {
  if (typeof value === 'string') return value
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1')
  throw invalid(`options.tls.${name}`, 'a PEM text or a Buffer of one', value)
}

const list = (value) => value === undefined || value === null ? [] : Array.isArray(value) ? value : [value]

// rustls signs with no shorter key. Node refuses those below 1024 bits with this code.
const MIN_RSA = 2048
function tooSmall (bits) {
  const error = new Error(`an RSA key of ${bits} bits is too small: it needs at least ${MIN_RSA}`)
  error.code = 'ERR_SSL_EE_KEY_TOO_SMALL'
  return error
}

// Keys as unencrypted PEM. The error of a wrong passphrase or of no key is Node's own.
function privateKey (value, passphrase) {
  const isObject = typeof value === 'object' && value !== null && 'pem' in value
  const pem = text('key', isObject ? value.pem : value)
  const secret = (isObject ? value.passphrase : undefined) ?? passphrase
  if (secret !== undefined && typeof secret !== 'string') throw invalid('options.tls.passphrase', 'a string', secret)
  const key = createPrivateKey({ key: pem, passphrase: secret })
  if (key.asymmetricKeyDetails?.modulusLength < MIN_RSA) throw tooSmall(key.asymmetricKeyDetails.modulusLength)
  return key.export({ type: 'pkcs8', format: 'pem' })
}

// Keys and certificates stand in the same order, as in tls. One key may serve all certificates.
function identities ({ key, cert, passphrase }) {
  const keys = list(key)
  const certs = list(cert)
  if (certs.length > 0 && keys.length !== 1 && keys.length !== certs.length) {
    throw invalid('options.tls.key', 'one for each of options.tls.cert', key)
  }
  if (keys.length > 0 && certs.length === 0) throw invalid('options.tls.cert', 'given with options.tls.key', cert)
  const exported = keys.map((value) => privateKey(value, passphrase))
  return certs.map((value, i) => ({ cert: text('cert', value), key: exported[keys.length === 1 ? 0 : i] }))
}

/** The authorities that Node trusts, which native code is given once: 150 certificates. Node may be given others. */
function roots () { return tls.getCACertificates ? tls.getCACertificates('default') : tls.rootCertificates }

const authorities = (ca) => list(ca).map((value) => text('ca', value))

function version (options, name, fallback) {
  const value = options[name]
  if (value === undefined || value === null) return fallback
  if (VERSIONS.includes(value)) return value
  throw invalid(`options.tls.${name}`, `one of ${VERSIONS.map((v) => `'${v}'`).join(', ')}`, value)
}

// On the legacy wire alone nobody may agree to QMux.
function protocols (value, isLegacy) {
  if (value === undefined) return isLegacy ? [] : [PROTOCOL]
  const isList = Array.isArray(value) && value.every((name) => typeof name === 'string' && name.length > 0 &&
    Buffer.byteLength(name) <= 255)
  if (!isList) throw invalid('options.tls.ALPNProtocols', 'an array of strings of 1 to 255 bytes', value)
  if (isLegacy && value.includes(PROTOCOL)) {
    throw invalid('options.tls.ALPNProtocols', `without '${PROTOCOL}' if options.protocol is 'legacy'`, value)
  }
  return value
}

// The options of these names, inherited ones included, as Node reads them: a server that is to ask for certificates must not
// miss that.
function checked (options, names) {
  if (options === true) return {}
  if (typeof options !== 'object' || options === null) throw invalid('options.tls', 'true or an object', options)
  for (const name of UNSUPPORTED) if (options[name] !== undefined) throw callerError('ERR_MUX_TLS_OPTION', name)
  for (const name of Object.keys(options)) {
    if (options[name] === undefined || names.has(name)) continue
    throw invalid(`options.tls.${name}`, `one of ${[...names].join(', ')}`, options[name])
  }
  const taken = {}
  for (const name of names) if (options[name] !== undefined) taken[name] = options[name]
  return taken
}

function common (options, isServer, wire) {
  const ca = authorities(options.ca)
  const asksPeer = !isServer || Boolean(options.requestCert)
  return {
    identities: identities(options),
    ca: asksPeer ? ca : [],
    trustsRoots: asksPeer && (options.ca === undefined || options.ca === null),
    requestCert: isServer && boolean(options, 'requestCert', false),
    rejectUnauthorized: boolean(options, 'rejectUnauthorized', true),
    alpn: protocols(options.ALPNProtocols, wire === 'legacy'),
    minVersion: version(options, 'minVersion', VERSIONS[0]),
    maxVersion: version(options, 'maxVersion', VERSIONS[1]),
    resumption: boolean(options, 'sessionResumption', true),
    keylog: boolean(options, 'keylog', false)
  }
}

function settingsOf (given, wire) {
  const settings = common(given, true, wire)
  if (settings.identities.length === 0) throw invalid('options.tls.cert', 'a certificate, with options.tls.key', given.cert)
  return settings
}

/**
 * What a server's `tls` says; undefined without it.
 * @param {string} wire the option `protocol`
 * @returns {{ native: object, given: object, wire: string, SNICallback: function | undefined }} `given` is what contexts
 *   take over
 */
function serverTls (options, wire) {
  if (options === undefined || options === false) return undefined
  const { SNICallback, ...given } = checked(options, SERVER)
  if (SNICallback !== undefined && SNICallback !== null && typeof SNICallback !== 'function') {
    throw invalid('options.tls.SNICallback', 'a function', SNICallback)
  }
  return { native: settingsOf(given, wire), given, wire, SNICallback: SNICallback ?? undefined }
}

/**
 * What a server may be from now on, or for a name. @param inherited the options that these take over if they do not say
 * otherwise @returns {{ native: object, own: object, given: object }} as above, and what `options` say themselves
 */
function contextTls (options, inherited, wire) {
  // What tls.createSecureContext() returns is of OpenSSL.
  if (typeof SecureContext === 'function' && options instanceof SecureContext) throw callerError('ERR_MUX_TLS_OPTION', 'secureContext')
  if (options === undefined || options === false) throw invalid('options', 'an object', options)
  const own = checked(options, CONTEXT)
  const given = { ...inherited }
  if (own.key !== undefined || own.cert !== undefined) delete given.passphrase
  Object.assign(given, own)
  return { native: settingsOf(given, wire), own, given, wire }
}

/**
 * What a client's `tls` says; undefined without it.
 * @param {string} wire the option `protocol`
 * @returns {{ native: object, peer: object }} what native code takes, and what JavaScript judges the peer by
 */
function clientTls (options, host, wire) {
  if (options === undefined || options === false) return undefined
  const given = checked(options, CLIENT)
  const { servername = host, checkServerIdentity } = given
  if (typeof servername !== 'string') throw invalid('options.tls.servername', 'a string', servername)
  // As in tls: an address is no name, and names it is compared with are those of the certificate.
  if (given.servername !== undefined && net.isIP(servername) !== 0) {
    throw invalid('options.tls.servername', 'a host name and no address', servername)
  }
  if (checkServerIdentity !== undefined && typeof checkServerIdentity !== 'function') {
    throw invalid('options.tls.checkServerIdentity', 'a function', checkServerIdentity)
  }
  const settings = common(given, false, wire)
  return {
    native: { servername, context: { ignoreName: checkServerIdentity !== undefined, options: settings } },
    peer: { servername, check: checkServerIdentity, rejects: settings.rejectUnauthorized }
  }
}

module.exports = { PROTOCOL, checkPlaces, clientTls, contextTls, roots, serverTls }
