'use strict'

// The options of TLS: what is taken, and what is refused before anything is opened.

const test = require('node:test')
const assert = require('node:assert/strict')
const { clientOptions, serverOptions } = require('../../lib/options.js')
const { identity, pem } = require('../support/tls.js')
const { MuxClient, MuxServer } = require('../../index.js')
const { nextEvent } = require('../support/events.js')

const server = (tls) => serverOptions({ port: 0, tls }).tls?.native
const client = (tls, rest) => clientOptions({ port: 1, ...rest, tls }).tls?.native

test('keys come as PEM, as Buffers, in lists and encrypted', () => {
  const { cert, key } = identity('server')
  const exported = server({ cert, key }).identities[0].key
  assert.match(exported, /^-----BEGIN PRIVATE KEY-----\n/)
  for (const settings of [
    { cert: String(cert), key: String(key) },
    { cert: [cert], key: [key] },
    { cert, key: new Uint8Array(key) },
    { cert, key: { pem: pem('encrypted-key'), passphrase: 'secret' } },
    { cert, key: [{ pem: pem('encrypted-key') }], passphrase: 'secret' }
  ]) assert.equal(server(settings).identities[0].key, exported)
  assert.equal(server({ cert: [cert, pem('alone')], key }).identities.length, 2)
  assert.throws(() => server({ cert, key: pem('encrypted-key') }), { code: /^ERR_/ })
  assert.throws(() => server({ cert, key: pem('encrypted-key'), passphrase: 'wrong' }), /bad decrypt/)
})

test('defaults are those of tls', () => {
  const { servername, context: { ignoreName, options } } = client(true, { host: 'example.org' })
  assert.deepEqual([servername, ignoreName], ['example.org', false])
  assert.deepEqual(options, {
    identities: [], ca: [], trustsRoots: true, requestCert: false, rejectUnauthorized: true, alpn: ['tcp-stream-muxer/1'],
    minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', resumption: true, keylog: false
  })
  assert.equal(client(undefined), undefined)
  assert.equal(client(false), undefined)
  assert.equal(server(undefined), undefined)
})

test('what cannot be done is refused', () => {
  const { cert, key } = identity('server')
  const good = { cert, key }
  for (const tls of [
    { SNICallback: () => {} }, 5, 'yes', null, { rejectUnauthorized: 1 }, { minVersion: 'TLSv1' }, { ALPNProtocols: 'h2' }, { ALPNProtocols: [''] },
    { key }, { cert }, { unknown: 1 }, { cert, key: 5 }, { ca: 5 }, { servername: 5 }, { servername: '127.0.0.1' },
    { checkServerIdentity: true }
  ]) {
    assert.throws(() => client(tls), { code: 'ERR_MUX_INVALID_ARG' }, JSON.stringify(tls))
  }
  for (const tls of [true, {}, { ...good, servername: 'x' }, { ...good, SNICallback: 'x' }, { ...good, requestCert: 1 }, { cert: [cert, cert], key: [key, key, key] }]) {
    assert.throws(() => server(tls), { code: 'ERR_MUX_INVALID_ARG' }, JSON.stringify(Object.keys(tls)))
  }
  for (const name of ['pfx', 'secureContext', 'ciphers', 'ALPNCallback', 'crl']) {
    assert.throws(() => client({ [name]: 1 }), { code: 'ERR_MUX_TLS_OPTION' })
    assert.throws(() => server({ ...good, [name]: 1 }), { code: 'ERR_MUX_TLS_OPTION' })
  }
})

test('with the legacy wire alone, the identifier of QMux is not offered', () => {
  const { cert, key } = identity('server')
  for (const [take, tls] of [[clientOptions, {}], [serverOptions, { cert, key }]]) {
    const alpn = (more) => {
      const { tls: taken } = take({ port: 1, protocol: 'legacy', tls: { ...tls, ...more } })
      return (taken.native.context?.options ?? taken.native).alpn
    }
    assert.deepEqual(alpn(), [])
    assert.deepEqual(alpn({ ALPNProtocols: ['other'] }), ['other'])
    assert.throws(() => alpn({ ALPNProtocols: ['tcp-stream-muxer/1'] }), { code: 'ERR_MUX_INVALID_ARG' })
  }
})

test('options of TLS outside of tls are refused instead of ignored', () => {
  for (const name of ['key', 'cert', 'ca', 'rejectUnauthorized', 'servername', 'pfx']) {
    for (const take of [serverOptions, clientOptions]) {
      assert.throws(() => take({ port: 1, [name]: 'x' }), { code: 'ERR_MUX_INVALID_ARG', message: new RegExp(`options.tls.${name}`) })
    }
  }
})

test('certificates that native code cannot use are an error with a code', async () => {
  const { key } = identity('alone')
  const { cert } = identity('client')
  assert.throws(() => new MuxServer({ port: 0, host: '127.0.0.1', tls: { cert, key } }), { code: 'ERR_OSSL_X509_KEY_VALUES_MISMATCH' })
  assert.throws(() => new MuxServer({ port: 0, host: '127.0.0.1', tls: { cert: 'none', key } }), { code: 'ERR_OSSL_PEM_NO_START_LINE' })
  // Behind a look-up the constructor has returned.
  const looking = new MuxServer({ port: 0, host: 'localhost', tls: { cert, key } })
  assert.equal((await nextEvent(looking, 'error'))[0].code, 'ERR_OSSL_X509_KEY_VALUES_MISMATCH')
  const client = new MuxClient({ port: 1, host: '127.0.0.1', tls: { ca: 'none' } })
  assert.equal((await nextEvent(client, 'error'))[0].code, 'ERR_OSSL_PEM_NO_START_LINE')
})

test('no passphrase is shown by an error', () => {
  for (const make of [serverOptions, clientOptions]) {
    assert.throws(() => make({ port: 1, passphrase: 'hunter2' }), (error) => {
      assert.equal(error.code, 'ERR_MUX_INVALID_ARG')
      return !error.message.includes('hunter2')
    })
  }
})

test('inherited options count, as in tls', () => {
  class Settings {
    get requestCert () { return true }
    get ca () { return pem('authority') }
  }
  for (const base of [new Settings(), Object.create({ requestCert: true, ca: pem('authority') })]) {
    const { requestCert, ca } = server(Object.assign(base, identity('server')))
    assert.deepEqual([requestCert, ca], [true, [String(pem('authority'))]])
  }
  assert.equal(client(Object.create({ rejectUnauthorized: false })).context.options.rejectUnauthorized, false)
  assert.throws(() => server(Object.assign(Object.create({ ciphers: 'x' }), identity('server'))), { code: 'ERR_MUX_TLS_OPTION' })
})
