'use strict'

// Every way in which a handshake fails: the codes of both ends, beside those of Node's tls, and nothing that is left.

const test = require('node:test')
const assert = require('node:assert/strict')
const net = require('node:net')
const { MuxClient, startServer } = require('../support/mux.js')
const { cleanup } = require('../support/cleanup.js')
const { nextEvent, within } = require('../support/events.js')
const { ca, identity, nobodyIsLeft, nodeClient, nodeServer, pem } = require('../support/tls.js')

const VERSIONS = ['TLSv1.2', 'TLSv1.3']

function connect (t, port, settings, options) {
  const client = new MuxClient({ port, host: 'localhost', family: 4, protocol: 'qmux', tls: settings, ...options })
  cleanup(t, () => client.destroy())
  return client
}

// The code that a client ends with; in TLS 1.3 it may be connected before it is refused.
function failure (client) {
  return within(new Promise((resolve) => {
    let code
    client.on('error', (error) => { code = error.code })
    client.on('close', () => resolve(code))
  }), 'the end of the client')
}

// One place, which is free again after each failure.
function oneAtATime (t, settings, options) {
  return startServer(t, { maxConnections: 1, protocol: 'qmux', tls: { ...identity('server'), ...settings }, ...options })
}

async function isFree (t, server, settings) {
  await nobodyIsLeft(server)
  const client = connect(t, server.address().port, settings)
  await nextEvent(client, 'connect')
  client.destroy()
  await nobodyIsLeft(server)
}

const ALERT = 'ERR_SSL_SSLV3_ALERT_'
const UNKNOWN = 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA'

// What is wrong with the server: what the client calls it, as Node does, and what the server is told.
for (const [what, settings, trusted, code, told] of [
  ['a certificate of another authority', identity('foreign'), { ca }, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', UNKNOWN],
  ['an authority that the system does not know', {}, true, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', UNKNOWN],
  ['a certificate of its own', identity('alone'), { ca }, 'DEPTH_ZERO_SELF_SIGNED_CERT', UNKNOWN],
  ['another name', identity('elsewhere'), { ca }, 'ERR_TLS_CERT_ALTNAME_INVALID', `${ALERT}BAD_CERTIFICATE`],
  ['an expired certificate', identity('expired'), { ca }, 'CERT_HAS_EXPIRED', `${ALERT}CERTIFICATE_EXPIRED`],
  ['a certificate of the future', identity('future'), { ca }, 'CERT_NOT_YET_VALID', `${ALERT}CERTIFICATE_EXPIRED`]
]) {
  for (const version of VERSIONS) {
    test(`${version}: a server with ${what}`, async (t) => {
      const server = await oneAtATime(t, { ...settings, maxVersion: version })
      const connected = []
      server.on('connection', (con) => connected.push(con))
      const error = nextEvent(server, 'tlsClientError')
      assert.equal(await failure(connect(t, server.address().port, trusted)), code)
      assert.equal((await error)[0].code, told)
      await nobodyIsLeft(server)
      assert.deepEqual(connected, [])
      // Node's client calls it so as well, if only behind the handshake, and ours calls Node's server so.
      const node = trusted === true ? {} : trusted
      assert.equal(await nodeClient(t, server.address().port, node), code)
      await nobodyIsLeft(server)
      const port = await nodeServer(t, { ...identity('server'), ...settings, maxVersion: version })
      assert.equal(await failure(connect(t, port, trusted)), code)
    })
  }
}

// What is wrong with the client: what the server calls it, and what the client is told.
for (const [what, settings, code, told] of [
  ['no certificate', {}, 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE', 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED'],
  ['a certificate of another authority', identity('foreign'), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', UNKNOWN],
  ['an expired certificate', identity('expired'), 'CERT_HAS_EXPIRED', `${ALERT}CERTIFICATE_EXPIRED`],
  ['a certificate of the future', identity('future'), 'CERT_NOT_YET_VALID', `${ALERT}CERTIFICATE_EXPIRED`]
]) {
  for (const version of VERSIONS) {
    test(`${version}: a client with ${what}`, async (t) => {
      const mutual = { ca, requestCert: true, maxVersion: version }
      const server = await oneAtATime(t, mutual)
      const error = nextEvent(server, 'tlsClientError')
      assert.equal(await failure(connect(t, server.address().port, { ca, ...settings })), told)
      assert.equal((await error)[0].code, code)
      await isFree(t, server, { ca, ...identity('client') })
      // Our client is refused by Node's server, and Node's client by ours.
      const port = await nodeServer(t, { ...identity('server'), ...mutual, rejectUnauthorized: true })
      // Node's looks at the certificate behind the handshake of TLS 1.3, and then ends the connection without a word.
      assert.match(String(await failure(connect(t, port, { ca, ...settings }))), /^(ERR_SSL_.*ALERT_|ECONNRESET$|undefined$)/)
      const again = nextEvent(server, 'tlsClientError')
      nodeClient(t, server.address().port, { ca, ...settings })
      assert.equal((await again)[0].code, code)
      await nobodyIsLeft(server)
    })
  }
}

for (const version of VERSIONS) {
  test(`${version}: whoever is revoked by other authorities is refused, and so are the sessions of before`, async (t) => {
    const server = await oneAtATime(t, { ca, requestCert: true, maxVersion: version })
    const { port } = server.address()
    // With options of its own, the client has no tickets of other servers at this address.
    const mine = { ca, ...identity('client'), maxVersion: version }
    for (const isReused of [false, true]) {
      const client = connect(t, port, mine)
      await nextEvent(client, 'connect')
      await client.ping()
      assert.equal(client.connection.isSessionReused(), isReused)
      client.destroy()
      await nobodyIsLeft(server)
    }
    server.setSecureContext({ ...identity('server'), ca: pem('stranger'), requestCert: true, maxVersion: version })
    for (let round = 0; round < 2; round++) {
      const error = nextEvent(server, 'tlsClientError')
      assert.equal(await failure(connect(t, port, mine)), UNKNOWN)
      assert.equal((await error)[0].code, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE')
      await nobodyIsLeft(server)
    }
    await isFree(t, server, { ca, ...identity('foreign') })
  })
}

// A server of which a test says everything.
async function rawServer (t, onSocket) {
  const server = net.createServer((socket) => {
    socket.on('error', () => {})
    cleanup(t, () => socket.destroy())
    onSocket(socket)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanup(t, () => server.close())
  return server.address().port
}

const alert = (description, version = 3) => Buffer.from([21, 3, version, 0, 2, 2, description])

for (const [what, bytes, ofClient, ofServer = ofClient] of [
  ['garbage', Buffer.from('garbage that is not TLS'), 'ERR_SSL_WRONG_VERSION_NUMBER'],
  ['a record that is too long', Buffer.from([22, 3, 3, 0xff, 0xff, 2]), 'ERR_SSL_DATA_LENGTH_TOO_LONG'],
  ['an alert', alert(40), `${ALERT}HANDSHAKE_FAILURE`],
  ['an alert of another version', alert(70, 1), 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION'],
  ['data ahead of the handshake', Buffer.from([23, 3, 3, 0, 1, 0]), /^ERR_SSL_(UNEXPECTED_MESSAGE|WRONG_VERSION_NUMBER|BAD_LENGTH)$/],
  ['a message of no kind', Buffer.from([22, 3, 3, 0, 4, 99, 0, 0, 0]), /^ERR_SSL_(UNEXPECTED_MESSAGE|BAD_LENGTH)$/]
]) {
  test(`a peer that answers with ${what}`, async (t) => {
    const check = (code, expected) => expected instanceof RegExp ? assert.match(code, expected) : assert.equal(code, expected)
    const port = await rawServer(t, (socket) => socket.once('data', () => socket.write(bytes)).resume())
    check(await failure(connect(t, port, { ca })), ofClient)
    const server = await oneAtATime(t)
    const error = nextEvent(server, 'tlsClientError')
    const socket = net.connect(server.address().port, '127.0.0.1', () => socket.write(bytes))
    socket.resume().on('error', () => {}).on('end', () => socket.end())
    check((await error)[0].code, ofServer)
    await within(nextEvent(socket, 'close'), 'the end of the socket')
    await isFree(t, server, { ca })
  })
}

test('a peer that says nothing', async (t) => {
  const port = await rawServer(t, () => {})
  assert.equal(await failure(connect(t, port, { ca }, { handshakeTimeout: 200 })), 'ERR_TLS_HANDSHAKE_TIMEOUT')
  const server = await oneAtATime(t, {}, { handshakeTimeout: 200 })
  const error = nextEvent(server, 'tlsClientError')
  const socket = net.connect(server.address().port, '127.0.0.1')
  socket.resume().on('error', () => {})
  cleanup(t, () => socket.destroy())
  assert.equal((await error)[0].code, 'ERR_TLS_HANDSHAKE_TIMEOUT')
  await nobodyIsLeft(server)
})

// A relay that lets so many bytes pass in one direction, and then ends both of its connections.
async function relay (t, to, direction, reset) {
  const state = { left: Infinity, passed: [0, 0] }
  state.port = await rawServer(t, (near) => {
    let { left } = state
    const far = net.connect(to, '127.0.0.1')
    const end = () => { for (const each of [near, far]) reset ? each.resetAndDestroy() : each.end() }
    // Whoever is reset before anybody looks is nobody, and no event.
    const cut = () => { reset ? setTimeout(end, 2) : end() }
    far.on('error', () => {}).on('connect', () => { if (left === 0) cut() })
    for (const [i, [from, into]] of [[near, far], [far, near]].entries()) {
      from.on('data', (data) => {
        state.passed[i] += data.length
        const passes = i === direction ? data.subarray(0, left) : data
        if (i === direction) left -= passes.length
        if (passes.length > 0 && into.writable) into.write(passes, () => { if (left <= 0 && i === direction) cut() })
      }).on('end', () => into.end()).on('close', () => into.destroy())
    }
  })
  return state
}

for (const version of VERSIONS) {
  for (const [way, direction] of [['client to server', 0], ['server to client', 1]]) {
    for (const reset of [false, true]) {
      test(`${version}: a handshake cut at each byte, ${way}, by a ${reset ? 'reset' : 'FIN'}`, async (t) => {
        const server = await startServer(t, { tls: { ...identity('server'), maxVersion: version }, protocol: 'qmux' })
        const codes = new Set()
        let ended = 0
        server.on('tlsClientError', (error) => { codes.add(`server ${error.code}`); ended++ })
        server.on('connection', (con) => con.on('error', () => {}).on('close', () => ended++))
        const between = await relay(t, server.address().port, direction, reset)
        const settings = { ca, sessionResumption: false }
        const whole = connect(t, between.port, settings)
        await nextEvent(whole, 'connect')
        await nobodyIsIn(whole, server)
        const total = between.passed[direction]
        let cuts = 0
        let lost = 0
        const step = version === 'TLSv1.2' ? 3 : 1
        const cutAt = async (left) => {
          between.left = left
          const client = connect(t, between.port, settings)
          let isConnected = false
          client.on('connect', () => { isConnected = true; client.end() })
          const code = await failure(client)
          if (code !== undefined) codes.add(`client ${code}`)
          else assert.ok(isConnected, `nobody is told at ${left}`)
          if (code !== undefined && !isConnected) lost++
        }
        for (let left = 0; left < total; left += step) {
          cuts++
          await cutAt(left)
        }
        await nobodyIsLeft(server)
        if (!reset) assert.equal(ended, cuts + 1)
        else assert.ok(ended > cuts / 2 && ended <= cuts + 1, `${ended} of ${cuts}`)
        assert.ok(lost > cuts / 4)
        for (const code of codes) assert.match(code, /ECONNRESET|EPIPE|ERR_MUX_/)
      })
    }
  }
}

async function nobodyIsIn (client, server) {
  client.destroy()
  await nobodyIsLeft(server)
}
