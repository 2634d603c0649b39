'use strict'

// verifyConnection, block lists and limits of a server in TLS: what is asked before the handshake, and what behind it.

const test = require('node:test')
const assert = require('node:assert/strict')
const net = require('node:net')
const tls = require('node:tls')
const { X509Certificate } = require('node:crypto')
const { MuxClient, startServer } = require('../support/mux.js')
const { cleanup } = require('../support/cleanup.js')
const { collectBytes, nextEvent, pause, within } = require('../support/events.js')
const { ca, identity, nobodyIsLeft } = require('../support/tls.js')

const start = (t, options = {}, settings = {}) => startServer(t, { ...options, tls: { ...identity('server'), ...settings } })

function knock (t, server, settings = {}, options = {}) {
  const client = new MuxClient({
    port: server.address().port, host: 'localhost', family: 4, tls: { ca, ...settings }, ...options
  })
  const errors = []
  client.on('error', (error) => errors.push(error))
  cleanup(t, () => client.destroy())
  return { client, errors, closed: new Promise((resolve) => client.once('close', resolve)) }
}

for (const version of ['TLSv1.2', 'TLSv1.3']) {
  test(`${version}: the program is told who is there, and what the handshake has come to`, async (t) => {
    const infos = []
    const server = await start(t, { verifyConnection: (info) => infos.push(info) > 0 },
      { ca, requestCert: true, rejectUnauthorized: false, maxVersion: version })
    for (const [settings, expected] of [
      [identity('client'), ['CN=client', true, null]], [identity('foreign'), ['CN=foreign', false, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE']],
      [{}, [undefined, false, null]], [{ ALPNProtocols: [] }, [undefined, false, null]]
    ]) {
      const accepted = nextEvent(server, 'connection')
      const { client } = knock(t, server, settings)
      const [con] = await accepted
      const { certificate, authorized, authorizationError, alpnProtocol, servername, encrypted, remotePort } = infos.pop()
      assert.deepEqual([certificate?.subject, authorized, authorizationError], expected)
      assert.equal(certificate instanceof X509Certificate, certificate !== undefined)
      assert.deepEqual([alpnProtocol, servername, encrypted, remotePort],
        [settings.ALPNProtocols ? false : 'tcp-stream-muxer/1', 'localhost', true, con.remotePort])
      client.destroy()
    }
  })

  test(`${version}: what comes before the verdict waits for it`, async (t) => {
    let answer
    const server = await start(t, { verifyConnection: (info, done) => { answer = done } }, { maxVersion: version })
    let accepted = 0
    server.on('connection', () => accepted++)
    const { client } = knock(t, server)
    const opened = client.StreamPool.createStream({ early: true }).then((stream) => stream.end(Buffer.from('early')))
    await within((async () => { while (answer === undefined) await pause(1) })(), 'the question')
    await pause(50)
    assert.equal(accepted, 0)
    const come = nextEvent(server, 'connection')
    answer(true)
    const [con] = await come
    const [stream] = await nextEvent(con, 'stream')
    assert.deepEqual(stream.meta, { early: true })
    assert.equal(String(await collectBytes(stream)), 'early')
    await opened
    assert.deepEqual([con.protocol, client.connection.protocol], ['qmux', 'qmux'])
  })

  test(`${version}: who is refused is told why, with and without a code`, async (t) => {
    const answers = [(done) => done(false), (done) => done(false, 403, 'not you'), (done) => setTimeout(done, 20, false, 7, '')]
    const server = await start(t, { verifyConnection: (info, done) => { answers.shift()(done) } }, { maxVersion: version })
    server.on('connection', () => assert.fail('nobody is let in'))
    for (const expected of [[2, false, 'the server refused the connection'], [403, true, 'not you'], [7, true, '']]) {
      const dropped = nextEvent(server, 'drop')
      const { client, errors, closed } = knock(t, server)
      client.StreamPool.createStream(1).catch(() => {})
      await within(closed, 'the end')
      assert.deepEqual(errors.map(({ closeCode, application, closeReason }) => [closeCode, application, closeReason]), [expected])
      const [data, error] = await dropped
      assert.deepEqual([data.remoteAddress, error.code], ['127.0.0.1', 'ERR_MUX_REFUSED'])
      await nobodyIsLeft(server)
    }
  })
}

test('a peer that leaves before the verdict is no connection', async (t) => {
  const answers = []
  const server = await start(t, { verifyConnection: (info, done) => { answers.push(done) } })
  server.on('connection', () => assert.fail('nobody is let in'))
  for (const leave of ['end', 'destroy', 'reset']) {
    const { client, closed } = knock(t, server)
    const asked = answers.length
    await nextEvent(client, 'connect')
    await within((async () => { while (answers.length === asked) await pause(1) })(), 'the question')
    if (leave === 'reset') client.connection.resetAndDestroy()
    else client[leave]()
    // The connection is paused, and a half-close is not seen before it is read.
    if (leave === 'end') answers[asked](false)
    await within(closed, 'the end')
    if (leave === 'reset') await nobodyIsLeft(server)
    answers[asked](leave === 'reset' ? true : undefined)
    await nobodyIsLeft(server)
  }
})

test('a verdict that does not come in time is a refusal', async (t) => {
  const server = await start(t, { handshakeTimeout: 200, verifyConnection: (info, done) => {} })
  const dropped = nextEvent(server, 'drop')
  const { errors, closed } = knock(t, server)
  await within(closed, 'the end')
  assert.equal((await dropped)[1].code, 'ERR_MUX_VERIFY_TIMEOUT')
  assert.deepEqual(errors.map(({ closeCode }) => closeCode), [2])
  await nobodyIsLeft(server)
})

test('a server that closes meanwhile lets nobody in, in the handshake and behind it', async (t) => {
  let answer
  const server = await start(t, { verifyConnection: (info, done) => { answer = done } })
  server.on('connection', () => assert.fail('nobody is let in'))
  const silent = net.connect(server.address().port, '127.0.0.1')
  silent.on('error', () => {}).resume()
  const { client, closed } = knock(t, server)
  await nextEvent(client, 'connect')
  await within((async () => { while (answer === undefined) await pause(1) })(), 'the question')
  const done = new Promise((resolve) => server.close(resolve))
  answer(true)
  await within(Promise.all([closed, done, nextEvent(silent, 'close')]), 'the end')
})

test('who is blocked, or is one too many, has no handshake, and handshakes count', async (t) => {
  const blockList = new net.BlockList()
  blockList.addAddress('127.0.0.1')
  const blocked = await start(t, { blockList })
  blocked.on('tlsClientError', () => assert.fail('there is no handshake')).on('drop', () => assert.fail('not worth an event'))
  const { errors, closed } = knock(t, blocked)
  await within(closed, 'the end')
  assert.match(errors[0].code, /^(ECONNRESET|EPIPE)$/)
  for (const limit of ['maxConnections', 'maxConnectionsPerAddress']) {
    const server = await start(t, { [limit]: 2 })
    const drops = []
    server.on('drop', (data, reason) => drops.push(reason.code))
    // Two that never say a word have both places.
    const silent = [1, 2].map(() => net.connect(server.address().port, '127.0.0.1').on('error', () => {}).resume())
    await within((async () => { while (server._connections.size < 2) await pause(1) })(), 'two handshakes')
    const third = knock(t, server)
    await within(third.closed, 'the end of the third')
    assert.deepEqual(drops, [limit === 'maxConnections' ? 'ERR_MUX_MAX_CONNECTIONS' : 'ERR_MUX_MAX_CONNECTIONS_PER_ADDRESS'])
    silent[0].destroy()
    await within((async () => { while (server._connections.size > 1) await pause(1) })(), 'a free place')
    await nextEvent(knock(t, server).client, 'connect')
    silent[1].destroy()
  }
})

test('a client of Node\'s is asked about like any other', async (t) => {
  const infos = []
  const server = await start(t, { verifyConnection: (info) => infos.push(info) > 0 })
  const accepted = nextEvent(server, 'connection')
  const socket = tls.connect({ port: server.address().port, host: '127.0.0.1', servername: 'localhost', ca })
  cleanup(t, () => socket.destroy())
  const [con] = await accepted
  assert.deepEqual([infos[0].alpnProtocol, con.protocol], [false, 'legacy'])
})

test('certificates that nobody can read, behind one that counts, end no process', async (t) => {
  const { cert, key } = identity('client')
  const unreadable = `-----BEGIN CERTIFICATE-----\n${Buffer.from('no certificate').toString('base64')}\n-----END CERTIFICATE-----\n`
  for (const rejectUnauthorized of [true, false]) {
    const infos = []
    const server = await start(t, { verifyConnection: (info) => infos.push(info) > 0 },
      { ca, requestCert: true, rejectUnauthorized })
    const accepted = nextEvent(server, 'connection')
    knock(t, server, { cert: `${cert}${unreadable}`, key })
    const [con] = await accepted
    assert.deepEqual([infos[0].certificate.subject, infos[0].authorized], ['CN=client', true])
    assert.equal(con.getPeerCertificate(true).subject.CN, 'client')
    assert.equal(con.getPeerX509Certificate().subject, 'CN=client')
  }
})
