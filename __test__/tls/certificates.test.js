'use strict'

// Certificates of every kind, beside what Node's tls makes of them: who is let in, and what the others are called.

const test = require('node:test')
const assert = require('node:assert/strict')
const tls = require('node:tls')
const { MuxClient, MuxServer, startServer } = require('../support/mux.js')
const { cleanup } = require('../support/cleanup.js')
const { ca, identity, nodeClient, nodeServer, pem } = require('../support/tls.js')

const chain = (...names) => ({ cert: Buffer.concat(names.map(pem)), key: pem(`${names[0]}-key`) })

// The code that a client ends with, or 'ok'.
function meet (t, port, settings) {
  const client = new MuxClient({ port, host: 'localhost', family: 4, tls: settings })
  cleanup(t, () => client.destroy())
  return new Promise((resolve) => {
    client.once('connect', () => resolve('ok'))
    client.once('error', (error) => resolve(error.code))
  })
}

// What a client makes of a server, if it trusts some authorities; of Node's clients, if that is something else.
for (const [what, server, authorities, expected, ofNode = expected] of [
  ['RSA of 2048 bits', identity('rsa2048'), ca, 'ok'],
  ['ECDSA by P-384', identity('p384'), ca, 'ok'],
  ['Ed25519', identity('ed25519'), ca, 'ok'],
  ['a chain', chain('below', 'middle'), ca, 'ok'],
  ['a chain in the wrong order, with others', chain('below', 'stranger', 'middle'), ca, 'ok'],
  ['a leaf whose issuer is missing', identity('below'), ca, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ['a leaf whose issuer is in ca', identity('below'), [ca, pem('middle')], 'ok'],
  ['a leaf whose issuer is alone in ca', identity('below'), pem('middle'), 'UNABLE_TO_GET_ISSUER_CERT'],
  ['a chain whose issuer is alone in ca', chain('below', 'middle'), pem('middle'), 'UNABLE_TO_GET_ISSUER_CERT'],
  ['a chain to an authority that is not trusted', chain('below', 'middle'), pem('stranger'), 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'],
  ['the same with that authority', chain('below', 'middle', 'authority'), pem('stranger'), 'SELF_SIGNED_CERT_IN_CHAIN'],
  ['a leaf that is itself in ca', identity('server'), pem('server'), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ['its own authority, in ca', identity('alone'), pem('alone'), 'ok'],
  ['its own authority, not in ca', identity('alone'), ca, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  // Node reads the name of a host from the common name if there is no other; RFC 9525 forbids it.
  ['a name in the common name alone', identity('nameless'), ca, 'ERR_TLS_CERT_ALTNAME_INVALID', 'ok']
]) {
  test(`${what}: ${expected}`, async (t) => {
    const ours = (await startServer(t, { tls: server })).address().port
    const theirs = await nodeServer(t, server)
    const settings = { ca: authorities }
    assert.deepEqual([await meet(t, ours, settings), await meet(t, theirs, settings)], [expected, expected])
    assert.deepEqual([await nodeClient(t, ours, settings), await nodeClient(t, theirs, settings)], [ofNode, ofNode])
  })
}

test('a client\'s chain is judged as a server\'s', async (t) => {
  const server = await startServer(t, { tls: { ...identity('server'), ca, requestCert: true, rejectUnauthorized: false } })
  for (const [settings, expected] of [
    [chain('below', 'middle'), null], [identity('ed25519'), null], [identity('rsa2048'), null],
    [identity('below'), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'], [identity('alone'), 'DEPTH_ZERO_SELF_SIGNED_CERT']
  ]) {
    const accepted = new Promise((resolve) => server.once('connection', resolve))
    assert.equal(await meet(t, server.address().port, { ca, ...settings }), 'ok')
    assert.equal((await accepted).authorizationError, expected)
  }
})

test('the common name counts if the program wants that', async (t) => {
  const server = await startServer(t, { tls: identity('nameless') })
  const { port } = server.address()
  assert.equal(await meet(t, port, { ca, checkServerIdentity: tls.checkServerIdentity }), 'ok')
  assert.equal(await meet(t, port, { ca, checkServerIdentity: tls.checkServerIdentity, servername: 'example.org' }),
    'ERR_TLS_CERT_ALTNAME_INVALID')
})

test('a key that is too short is refused where it is given, and where it is met', async (t) => {
  const make = (name) => new MuxServer({ port: 0, host: '127.0.0.1', tls: identity(name) })
  for (const name of ['rsa512', 'rsa1024']) assert.throws(() => make(name), { code: 'ERR_SSL_EE_KEY_TOO_SMALL' })
  assert.throws(() => tls.createServer(identity('rsa512')), { code: 'ERR_SSL_EE_KEY_TOO_SMALL' })
  // Node has nothing against 1024 bits.
  const port = await nodeServer(t, identity('rsa1024'))
  assert.equal(await nodeClient(t, port, { ca }), 'ok')
  assert.equal(await meet(t, port, { ca }), 'CERT_SIGNATURE_FAILURE')
})

test('a certificate that is signed by SHA-1 is not trusted', async (t) => {
  // Node does not even serve with one.
  assert.throws(() => tls.createServer(identity('sha1')), { code: 'ERR_SSL_CA_MD_TOO_WEAK' })
  const { port } = (await startServer(t, { tls: identity('sha1') })).address()
  assert.equal(await meet(t, port, { ca }), 'CERT_SIGNATURE_FAILURE')
  assert.match(await nodeClient(t, port, { ca }), /^(CA_MD_TOO_WEAK|UNSPECIFIED)$/)
})
