'use strict'

// What a server is for the name that a client asks for: addContext() and SNICallback.

const test = require('node:test')
const assert = require('node:assert/strict')
const net = require('node:net')
const tls = require('node:tls')
const { MuxClient, startServer } = require('../support/mux.js')
const { cleanup } = require('../support/cleanup.js')
const { nextEvent, within } = require('../support/events.js')
const { ca, identity, nobodyIsLeft, pem } = require('../support/tls.js')

// Whom a client meets that asks for a name.
async function meets (t, server, servername, settings = {}, options = {}) {
  const client = new MuxClient({
    port: server.address().port, host: '127.0.0.1', tls: { servername, rejectUnauthorized: false, ...settings }, ...options
  })
  cleanup(t, () => client.destroy())
  await nextEvent(client, 'connect')
  const { CN } = client.connection.getPeerCertificate().subject
  client.destroy()
  return CN
}

async function fails (t, server, servername) {
  const told = nextEvent(server, 'tlsClientError')
  const client = new MuxClient({ port: server.address().port, host: '127.0.0.1', tls: { servername, ca } })
  cleanup(t, () => client.destroy())
  const [error] = await nextEvent(client, 'error')
  return [error, (await told)[0]]
}

const start = (t, settings = {}, options = {}) => startServer(t, { ...options, tls: { ...identity('server'), ...settings } })

test('names have contexts of their own, with stars, and the latest counts, as for a server of tls', async (t) => {
  const server = await start(t)
  const theirs = tls.createServer(identity('server'))
  await new Promise((resolve) => theirs.listen(0, '127.0.0.1', resolve))
  cleanup(t, () => theirs.close())
  const node = (servername) => new Promise((resolve, reject) => {
    const socket = tls.connect({ port: theirs.address().port, host: '127.0.0.1', servername, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().subject.CN)
      socket.destroy()
    }).on('error', reject)
  })
  assert.equal(await meets(t, server, 'a.example.org'), 'server')
  for (const [pattern, name] of [['*.example.org', 'elsewhere'], ['b.example.org', 'foreign'], ['c*.example.net', 'client'],
    ['c*.example.net', 'alone'], ['x.y-z.test', 'expired']]) {
    assert.equal(server.addContext(pattern, identity(name)), server)
    theirs.addContext(pattern, identity(name))
  }
  for (const [servername, expected] of [['a.example.org', 'elsewhere'], ['b.example.org', 'foreign'], ['a.b.example.org', 'server'],
    ['example.org', 'server'], ['cxy.example.net', 'alone'], ['c.example.net', 'alone'], ['d.example.net', 'server'],
    ['x.y-z.test', 'expired'], ['xay-z.test', 'server']]) {
    assert.equal(await meets(t, server, servername), expected, servername)
    assert.equal(await node(servername), expected, servername)
  }
  // Who asks for an address asks for no name.
  assert.equal(await meets(t, server, undefined), 'server')
})

for (const version of ['TLSv1.2', 'TLSv1.3']) {
  test(`${version}: a callback answers at once or later, with options or with nothing, and what it made is kept`, async (t) => {
    const other = identity('elsewhere')
    const seen = []
    const server = await start(t, {
      maxVersion: version,
      SNICallback (name, done) {
        seen.push([this === server, name])
        if (name === 'now') done(null, other)
        else if (name === 'later') setTimeout(done, 20, null, other)
        else if (name === 'undefined') done()
        else done(null, null)
        if (name !== 'later') done(new Error('only the first answer counts'))
      }
    })
    for (const [name, expected] of [['now', 'elsewhere'], ['later', 'elsewhere'], ['undefined', 'server'], ['null', 'server']]) {
      assert.equal(await meets(t, server, name), expected, name)
    }
    assert.deepEqual(seen, ['now', 'later', 'undefined', 'null'].map((name) => [true, name]))
    // A session is resumed, which it is only with the same context of native code.
    const options = { ca, checkServerIdentity: () => undefined, servername: 'now', rejectUnauthorized: true }
    for (const isReused of [false, true]) {
      const client = new MuxClient({ port: server.address().port, host: '127.0.0.1', tls: options })
      cleanup(t, () => client.destroy())
      await nextEvent(client, 'connect')
      assert.equal(client.connection.isSessionReused(), isReused)
      await client.ping() // behind it the tickets have come
      client.destroy()
    }
    // A peer without a name, by Node.
    const socket = tls.connect({ port: server.address().port, host: '127.0.0.1', ca, checkServerIdentity: () => undefined })
    cleanup(t, () => socket.destroy())
    await nextEvent(socket, 'secureConnect')
    assert.equal(seen.length, 6)
  })
}

test('a name that nobody is, and options that cannot be used, end the handshake at both ends with a code', async (t) => {
  const wrong = Object.assign(new Error('nobody'), { code: 'ERR_NOBODY' })
  const server = await start(t, {
    SNICallback (name, done) {
      if (name === 'error') return done(wrong)
      if (name === 'throws') throw wrong
      if (name === 'openssl') return done(null, tls.createSecureContext(identity('server')))
      if (name === 'mismatch') return done(null, { cert: pem('elsewhere'), key: pem('client-key') })
      done(null, { unknown: 1 })
    }
  })
  server.on('connection', () => assert.fail('nobody is connected'))
  for (const [name, code] of [['error', 'ERR_NOBODY'], ['throws', 'ERR_NOBODY'], ['openssl', 'ERR_MUX_TLS_OPTION'],
    ['mismatch', 'ERR_OSSL_X509_KEY_VALUES_MISMATCH'], ['other', 'ERR_MUX_INVALID_ARG']]) {
    const [own, theirs] = await fails(t, server, name)
    assert.deepEqual([own.code, theirs.code], ['ERR_SSL_TLSV1_UNRECOGNIZED_NAME', code], name)
    if (code === 'ERR_NOBODY') assert.equal(theirs, wrong)
  }
  await nobodyIsLeft(server)
})

test('who leaves before the answer, or is kept waiting too long, is no connection', async (t) => {
  const waiting = []
  const server = await start(t, { SNICallback: (name, done) => waiting.push(done) }, { handshakeTimeout: 400 })
  server.on('connection', () => assert.fail('nobody is connected'))
  for (const leave of ['destroy', 'resetAndDestroy', 'stay']) {
    const told = nextEvent(server, 'tlsClientError')
    const asked = waiting.length
    const raw = net.connect(server.address().port, '127.0.0.1')
    tls.connect({ socket: raw, servername: 'x', ca }).on('error', () => {})
    raw.on('error', () => {})
    cleanup(t, () => raw.destroy())
    await within((async () => { while (waiting.length === asked) await new Promise((resolve) => setImmediate(resolve)) })(), leave)
    if (leave !== 'stay') raw[leave]()
    const [error] = await told
    assert.equal(error.code, leave === 'stay' ? 'ERR_TLS_HANDSHAKE_TIMEOUT' : 'ECONNRESET')
    waiting[asked](null, null) // too late
    await nobodyIsLeft(server)
  }
})

test('a server that closes meanwhile ends who waits for an answer', async (t) => {
  let answer
  const server = await start(t, { SNICallback: (name, done) => { answer = done } })
  const socket = tls.connect({ port: server.address().port, host: '127.0.0.1', servername: 'x', ca })
  const failed = nextEvent(socket, 'error')
  cleanup(t, () => socket.destroy())
  await within((async () => { while (answer === undefined) await new Promise((resolve) => setImmediate(resolve)) })(), 'the question')
  const closed = nextEvent(server, 'close')
  server.close()
  answer(null, null)
  await closed
  await failed
})

test('a ClientHello in pieces, and one that is malformed, end as without a callback', async (t) => {
  const server = await start(t, { SNICallback: (name, done) => done(null, identity('elsewhere')) })
  const relay = net.createServer((near) => {
    const far = net.connect(server.address().port, '127.0.0.1')
    far.setNoDelay(true)
    far.on('data', (data) => near.write(data)).on('error', () => {}).on('close', () => near.destroy())
    near.on('error', () => {}).on('close', () => far.destroy())
    let queue = Promise.resolve()
    near.on('data', (data) => {
      for (const byte of data.subarray(0, 40)) {
        queue = queue.then(() => new Promise((resolve) => { far.write(Buffer.of(byte)); setTimeout(resolve, 1) }))
      }
      queue = queue.then(() => { far.write(data.subarray(40)) })
    })
  })
  await new Promise((resolve) => relay.listen(0, '127.0.0.1', resolve))
  cleanup(t, () => relay.close())
  assert.equal(await meets(t, relay, 'x'), 'elsewhere')
  await nobodyIsLeft(server)
  const told = nextEvent(server, 'tlsClientError')
  const socket = net.connect(server.address().port, '127.0.0.1', () => socket.write(Buffer.from([22, 3, 1, 0, 5, 1, 0, 0, 1, 0])))
  socket.resume().on('error', () => {})
  cleanup(t, () => socket.destroy())
  assert.match((await told)[0].code, /^ERR_SSL_/)
})

test('a context takes over what it does not say of the server, and contexts follow the server\'s', async (t) => {
  const server = await start(t, { ca, requestCert: true })
  server.addContext('x', identity('elsewhere'))
  server.addContext('open', { ...identity('foreign'), requestCert: false })
  const told = nextEvent(server, 'tlsClientError')
  const client = new MuxClient({ port: server.address().port, host: '127.0.0.1', tls: { servername: 'x', rejectUnauthorized: false } })
  client.on('error', () => {})
  cleanup(t, () => client.destroy())
  assert.equal((await told)[0].code, 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE')
  assert.equal(await meets(t, server, 'x', identity('client'), { protocol: 'qmux' }), 'elsewhere')
  assert.equal(await meets(t, server, 'open'), 'foreign')
  server.setSecureContext(identity('alone'))
  assert.equal(await meets(t, server, 'x'), 'elsewhere')
  assert.equal(await meets(t, server, 'other'), 'alone')
  assert.throws(() => server.addContext('x', { ca: 5 }), { code: 'ERR_MUX_INVALID_ARG' })
  assert.throws(() => server.addContext('x', { cert: 'none', key: pem('client-key') }), { code: 'ERR_OSSL_PEM_NO_START_LINE' })
  assert.throws(() => server.addContext('x', tls.createSecureContext()), { code: 'ERR_MUX_TLS_OPTION' })
  assert.throws(() => server.addContext('', identity('alone')), { code: 'ERR_MUX_INVALID_ARG' })
  assert.throws(() => server.addContext('x', { ...identity('alone'), SNICallback: () => {} }), { code: 'ERR_MUX_INVALID_ARG' })
  const plain = await startServer(t)
  assert.throws(() => plain.addContext('x', identity('alone')), { code: 'ERR_MUX_NOT_SECURE' })
})
