'use strict'

// Connections by TLS: what both ends know of each other, and every way in which they do not come about.

const test = require('node:test')
const assert = require('node:assert/strict')
const { AsyncLocalStorage } = require('node:async_hooks')
const { execFile } = require('node:child_process')
const net = require('node:net')
const tls = require('node:tls')
const { MuxClient, startServer } = require('../support/mux.js')
const { cleanup } = require('../support/cleanup.js')
const { eventually, nextEvent, within } = require('../support/events.js')
const { ca, identity, nodeClient, pem } = require('../support/tls.js')

const LOCAL = { host: 'localhost', family: 4 }

async function secureServer (t, settings = {}, options = {}) {
  return startServer(t, { ...options, tls: { ...identity('server'), ...settings } })
}

function secureClient (t, server, settings = { ca }, options = {}) {
  const client = new MuxClient({ port: server.address().port, ...LOCAL, tls: settings, ...options })
  cleanup(t, () => client.destroy())
  return client
}

// Both ends of a connection that comes about.
async function connect (t, server, settings, options) {
  const accepted = nextEvent(server, 'connection')
  const client = secureClient(t, server, settings, options)
  await nextEvent(client, 'connect')
  const [con] = await accepted
  return { client, own: client.connection, con }
}

// The codes of both ends of a connection that does not come about, and that is all that they are told.
async function refusal (t, server, settings, options) {
  const announced = () => assert.fail('the server announced a connection')
  server.on('connection', announced)
  const told = nextEvent(server, 'tlsClientError')
  const client = secureClient(t, server, settings, options)
  client.on('connect', () => assert.fail('the client is connected'))
  const closed = new Promise((resolve) => client.once('close', resolve))
  const [error] = await nextEvent(client, 'error')
  await within(closed, "the client's 'close'")
  const [serverError, info] = await told
  assert.equal(info.remoteAddress, '127.0.0.1')
  server.removeListener('connection', announced)
  return [error.code, serverError.code]
}

async function says (from, to, text) {
  const came = new Promise((resolve) => to.once('stream', (stream) => stream.once('data', (data) => resolve(String(data)))))
  const stream = await within(from.StreamPool.createStream('test'), 'the stream')
  stream.write(Buffer.from(text))
  assert.equal(await within(came, 'the data'), text)
}

for (const version of ['TLSv1.2', 'TLSv1.3']) {
  test(`${version}: both ends know what was agreed on, and streams go both ways`, async (t) => {
    const server = await secureServer(t, { maxVersion: version })
    const { client, own, con } = await connect(t, server)
    for (const end of [own, con]) {
      assert.deepEqual([end.encrypted, end.getProtocol(), end.alpnProtocol, end.servername, end.isSessionReused()],
        [true, version, 'tcp-stream-muxer/1', 'localhost', false])
      assert.match(end.getCipher().name, /AES|CHACHA/)
    }
    assert.deepEqual([own.authorized, own.authorizationError, con.authorized, con.authorizationError], [true, null, false, null])
    assert.equal(own.getPeerCertificate().subject.CN, 'server')
    assert.equal(own.getPeerX509Certificate().subject, 'CN=server')
    assert.deepEqual(con.getPeerCertificate(), {})
    assert.equal(con.getPeerX509Certificate(), undefined)
    await says(client, con, 'there')
    await says(con, client, 'back')
  })
}

test('the identifier decides on QMux before anything is announced, and without it the offer decides', async (t) => {
  for (const [own, theirs, announced] of [
    [{}, {}, 'qmux'],
    [{ ALPNProtocols: [] }, {}, 'legacy'],
    [{}, { ALPNProtocols: [] }, 'legacy']
  ]) {
    const server = await secureServer(t, theirs)
    const seen = []
    server.on('connection', (con) => seen.push(con.protocol))
    const client = secureClient(t, server, { ca, ...own })
    client.on('connect', () => seen.push(client.connection.protocol))
    await within(client.StreamPool.createStream(1), 'the stream')
    assert.deepEqual(seen, [announced, announced])
    assert.equal(client.connection.protocol, 'qmux')
  }
})

test("'legacy' stays 'legacy' at either end", async (t) => {
  for (const [own, theirs] of [['legacy', 'auto'], ['auto', 'legacy'], ['legacy', 'legacy']]) {
    const server = await secureServer(t, {}, { protocol: theirs })
    const { client, own: connection, con } = await connect(t, server, { ca }, { protocol: own })
    await says(client, con, 'there')
    assert.deepEqual([connection.protocol, con.protocol, connection.alpnProtocol], ['legacy', 'legacy', false])
  }
})

test('in the clear there is nothing to know', async (t) => {
  const server = await startServer(t)
  const accepted = nextEvent(server, 'connection')
  const client = new MuxClient({ port: server.address().port, ...LOCAL })
  cleanup(t, () => client.destroy())
  const [con] = await accepted
  assert.deepEqual([con.encrypted, con.authorized, con.authorizationError, con.alpnProtocol, con.servername, con.getProtocol(),
    con.getPeerCertificate(), con.getPeerX509Certificate(), con.getCipher(), con.isSessionReused()],
  [false, false, null, false, false, null, null, undefined, {}, false])
})

test('a client shows its certificate, which the server asked for', async (t) => {
  const server = await secureServer(t, { ca, requestCert: true })
  const { con } = await connect(t, server, { ca, ...identity('client') })
  assert.deepEqual([con.authorized, con.authorizationError], [true, null])
  const certificate = con.getPeerCertificate(true)
  assert.deepEqual([certificate.subject.CN, certificate.issuer.CN], ['client', 'authority'])
})

test('a server may let in who cannot be trusted, and knows why not to', async (t) => {
  const server = await secureServer(t, { ca, requestCert: true, rejectUnauthorized: false })
  const { con } = await connect(t, server, { ca, ...identity('foreign') })
  assert.equal(con.authorized, false)
  assert.match(con.authorizationError, /^UNABLE_TO_/)
  const without = await connect(t, server)
  assert.deepEqual([without.con.authorized, without.con.getPeerCertificate()], [false, {}])
})

test('sessions are resumed', async (t) => {
  const server = await secureServer(t)
  const first = await connect(t, server)
  await says(first.client, first.con, 'first')
  const second = await connect(t, server)
  assert.deepEqual([second.own.isSessionReused(), second.con.isSessionReused()], [true, true])
  assert.equal(second.own.authorized, true)
})

// What is wrong with the server's certificate, with Node's own name for it.
for (const [name, code, settings] of [
  ['expired', 'CERT_HAS_EXPIRED'],
  ['future', 'CERT_NOT_YET_VALID'],
  ['elsewhere', 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ['foreign', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ['alone', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  ['server', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', true]
]) {
  const what = settings === true ? 'a server whose authority the system does not know' : `a server whose certificate is ${name}`
  test(`${what}: ${code}, as Node has it`, async (t) => {
    const server = await secureServer(t, identity(name))
    const [own, told] = await refusal(t, server, settings ?? { ca })
    assert.equal(own, code)
    assert.match(told, /^ERR_SSL_.*ALERT/)
    // The same by Node.
    const socket = tls.connect({ port: server.address().port, ...LOCAL, servername: 'localhost', ...(settings === true ? {} : { ca }) })
    const [error] = await nextEvent(socket, 'error')
    assert.equal(error.code, code)
    // The program may go on nevertheless.
    const { own: allowed } = await connect(t, server, { ...(settings === true ? {} : settings ?? { ca }), rejectUnauthorized: false })
    assert.deepEqual([allowed.authorized, allowed.authorizationError], [false, code])
  })
}

test('a server that wants a certificate refuses a client without one, and one that it cannot trust', async (t) => {
  const server = await secureServer(t, { ca, requestCert: true }, { protocol: 'qmux' })
  for (const [settings, code] of [
    [{ ca }, 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE'],
    [{ ca, ...identity('foreign') }, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE']
  ]) {
    const told = nextEvent(server, 'tlsClientError')
    const client = secureClient(t, server, settings)
    const failed = nextEvent(client, 'error')
    const [error] = await told
    assert.equal(error.code, code)
    const [own] = await failed
    assert.match(own.code, /^ERR_SSL_.*ALERT/)
  }
})

test('what the program is asked runs in the context of whoever made the client or the server', async (t) => {
  const storage = new AsyncLocalStorage()
  const seen = {}
  const note = (name, result) => { seen[name] = storage.getStore(); return result }
  const server = await storage.run('server', () => secureServer(t, {
    ...identity('server'), SNICallback: (name, done) => note('SNICallback', done(null, null))
  }))
  await storage.run('client', () => connect(t, server, { ca, checkServerIdentity: () => note('check') }))
  assert.deepEqual(seen, { SNICallback: 'server', check: 'client' })
})

test('the program compares the name itself', async (t) => {
  const server = await secureServer(t, identity('elsewhere'))
  const seen = []
  const check = (result) => (name, certificate) => {
    seen.push([name, certificate.subject.CN, certificate.subjectaltname])
    return result
  }
  const { own } = await connect(t, server, { ca, checkServerIdentity: check(undefined) })
  assert.equal(own.authorized, true)
  const wrong = Object.assign(new Error('not the one'), { code: 'ERR_WRONG' })
  const client = secureClient(t, server, { ca, checkServerIdentity: check(wrong) })
  assert.equal((await nextEvent(client, 'error'))[0], wrong)
  const allowed = await connect(t, server, { ca, checkServerIdentity: check(wrong), rejectUnauthorized: false })
  assert.deepEqual([allowed.own.authorized, allowed.own.authorizationError], [false, 'ERR_WRONG'])
  // A judge who fails lets nobody pass.
  const thrown = new TypeError('not a judge')
  const failing = secureClient(t, server, { ca, checkServerIdentity () { throw thrown }, rejectUnauthorized: false })
  failing.on('connect', () => assert.fail('the client is connected'))
  assert.equal((await nextEvent(failing, 'error'))[0], thrown)
  assert.deepEqual(seen, Array(3).fill(['localhost', 'elsewhere', 'DNS:example.org']))
})

test('other certificates serve the connections from then on', async (t) => {
  const server = await secureServer(t)
  const first = await connect(t, server)
  assert.equal(server.setSecureContext(identity('alone')), server)
  const { own } = await connect(t, server, { ca: pem('alone') })
  assert.equal(own.getPeerCertificate().subject.CN, 'alone')
  await says(first.client, first.con, 'still there')
  for (const options of [undefined, false, {}]) {
    assert.throws(() => server.setSecureContext(options), { code: 'ERR_MUX_INVALID_ARG' })
  }
  const plain = await startServer(t)
  assert.throws(() => plain.setSecureContext(identity('alone')), { code: 'ERR_MUX_NOT_SECURE' })
})

test('the secrets of a connection are told to whoever wants to look into it', async (t) => {
  const server = await secureServer(t, { keylog: true })
  const lines = []
  server.on('keylog', (line) => lines.push(String(line)))
  const accepted = nextEvent(server, 'connection')
  const client = secureClient(t, server, { ca, keylog: true })
  const own = []
  client.on('keylog', (line) => own.push(String(line)))
  await nextEvent(client, 'connect')
  await accepted
  assert.ok(own.length > 0)
  for (const line of own) assert.match(line, /^[A-Z_0-9]+ [0-9a-f]{64} [0-9a-f]+\n$/)
  assert.deepEqual(lines.filter((line) => own.includes(line)), lines)
})

test('who speaks in the clear to a secure server, and the reverse, are told', async (t) => {
  const server = await secureServer(t)
  let told = nextEvent(server, 'tlsClientError')
  const plain = new MuxClient({ port: server.address().port, ...LOCAL }, () => plain.StreamPool.createStream(1, () => {}))
  const closed = new Promise((resolve) => plain.on('error', () => {}).once('close', resolve))
  assert.equal((await told)[0].code, 'ERR_SSL_WRONG_VERSION_NUMBER')
  await within(closed, 'the end of who speaks in the clear')
  told = nextEvent(server, 'tlsClientError')
  const http = net.connect(server.address().port, '127.0.0.1', () => http.write('GET / HTTP/1.1\r\n\r\n'))
  http.on('error', () => {}).resume()
  assert.equal((await told)[0].code, 'ERR_SSL_HTTP_REQUEST')
})

test('a peer that never says a word has no more time than others', async (t) => {
  const server = await secureServer(t, {}, { handshakeTimeout: 300 })
  const told = nextEvent(server, 'tlsClientError')
  const socket = net.connect(server.address().port, '127.0.0.1')
  socket.on('error', () => {}).resume()
  cleanup(t, () => socket.destroy())
  assert.match((await told)[0].code, /TIMEOUT/)
  await within(new Promise((resolve) => socket.once('close', resolve)), 'the end of the silent one')
})

test('what is spoken is known when both ends hear of the connection', async (t) => {
  const server = await secureServer(t)
  const seen = []
  server.on('connection', (con) => seen.push(con.protocol))
  const client = secureClient(t, server)
  client.on('connect', () => seen.push(client.connection.protocol))
  const stream = await client.StreamPool.createStream(1)
  stream.destroy()
  assert.deepEqual(seen, ['qmux', 'qmux'])
  for (const settings of [{ ca, ALPNProtocols: [] }]) {
    const { own } = await connect(t, server, settings)
    assert.equal(own.alpnProtocol, false)
  }
})

test('a server in the clear tells a client in TLS so: ours, Node\'s and OpenSSL\'s', async (t) => {
  for (const protocol of ['auto', 'legacy', 'qmux']) {
    const clear = await startServer(t, { protocol })
    const told = []
    clear.on('connectionError', (error) => told.push(error.code))
    const { port } = clear.address()
    const client = secureClient(t, clear)
    assert.equal((await nextEvent(client, 'error'))[0].code, 'ERR_SSL_WRONG_VERSION_NUMBER')
    assert.match(await nodeClient(t, port, { ca }), /^ERR_SSL_(WRONG_VERSION_NUMBER|TLSV1_ALERT_PROTOCOL_VERSION)$/)
    const text = await new Promise((resolve) => {
      execFile('openssl', ['s_client', '-connect', `127.0.0.1:${port}`], (error, stdout, stderr) => resolve(`${error} ${stdout}${stderr}`)).stdin.end()
    })
    assert.match(text, /wrong version number|alert protocol version/)
    await eventually(() => told.length === 3, 'all are told')
    assert.deepEqual(told, Array(3).fill('ERR_MUX_WRONG_PROTOCOL'))
  }
})
