'use strict'

// TLS over what programs have already: a Duplex in memory, sockets that stay with Node, and sockets that native code takes
// over. What happens in a handshake is the same everywhere, and so is what both ends are told of one that fails.

const test = require('node:test')
const assert = require('node:assert/strict')
const net = require('node:net')
const { once } = require('node:events')
const { duplexPair } = require('../support/carried.js')
const { cleanup } = require('../support/cleanup.js')
const { openPair, MuxClient, MuxServer } = require('../support/mux.js')
const { collectBytes, nextEvent, within } = require('../support/events.js')
const { ca, identity, nobodyIsLeft } = require('../support/tls.js')

async function socketPair () {
  const listener = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const near = net.connect(listener.address().port, '127.0.0.1')
  const [far] = await once(listener, 'connection')
  listener.close()
  return [near, far]
}

const WAYS = {
  'a Duplex in memory': { pair: async () => duplexPair() },
  'sockets of Node': { pair: socketPair, takeOver: false },
  'sockets that are taken over': { pair: socketPair }
}

// Both ends, and what becomes of them.
async function begin (t, way, { server: serverOptions, serverTls, clientTls, client: clientOptions } = {}) {
  const { pair, takeOver } = WAYS[way]
  const [near, far] = await pair()
  const seen = { failures: [], drops: [], accepted: [], errors: [] }
  const server = new MuxServer({
    noServer: true, takeOver, ...serverOptions, tls: serverTls === false ? undefined : { ...identity('server'), ...serverTls }
  })
  server.on('tlsClientError', (error) => seen.failures.push(error.code ?? error.message))
  server.on('drop', (addresses, reason) => seen.drops.push(reason.code))
  server.on('connection', (con) => seen.accepted.push(con.on('error', () => {})))
  const con = server.accept(far)
  const client = new MuxClient({
    socket: near, takeOver, ...clientOptions, tls: clientTls === false ? undefined : { ca, ...clientTls }
  })
  client.on('error', (error) => seen.errors.push(error.code))
  const closed = Promise.all([client, con].map((end) => nextEvent(end, 'close')))
  cleanup(t, () => {
    client.destroy()
    con.destroy()
    return within(new Promise((resolve) => server.close(() => resolve())), 'the server to close')
  })
  return { server, con, client, seen, closed, ends: [near, far] }
}

async function nothingIsLeft ({ server, ends, closed }) {
  await closed
  await nobodyIsLeft(server)
  for (const end of ends) if (!end.closed) await nextEvent(end, 'close')
}

for (const way of Object.keys(WAYS)) {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
    test(`${way}, ${maxVersion}: streams work both ways`, async (t) => {
      const both = await begin(t, way, { serverTls: { maxVersion } })
      const { server, client, con } = both
      await Promise.all([nextEvent(server, 'connection'), nextEvent(client, 'connect')])
      for (const end of [con, client.connection]) {
        assert.deepEqual([end.encrypted, end.getProtocol(), end.alpnProtocol, end.servername, end.protocol],
          [true, maxVersion, 'tcp-stream-muxer/1', 'localhost', 'qmux'])
      }
      assert.deepEqual([client.connection.authorized, con.authorized], [true, false])
      const bytes = Buffer.alloc(3_000_000, 'text')
      for (const [from, to] of [[client, con], [con, client]]) {
        const { creator, acceptor } = await openPair(from, to)
        creator.end(bytes)
        assert.ok((await collectBytes(acceptor)).equals(bytes))
      }
      client.end()
      await nothingIsLeft(both)
    })
  }

  test(`${way}: verifyConnection sees the certificate, and lets in or refuses`, async (t) => {
    for (const isAllowed of [true, false]) {
      let told
      const both = await begin(t, way, {
        server: { verifyConnection: (info, answer) => { told = info; setImmediate(answer, isAllowed, 7, 'no') } },
        serverTls: { ca, requestCert: true },
        clientTls: identity('client')
      })
      const { client, con, seen } = both
      if (isAllowed) {
        const { creator, acceptor } = await openPair(client, con)
        creator.end(Buffer.from('early'))
        assert.equal(`${await collectBytes(acceptor)}`, 'early')
        client.end()
      }
      await nothingIsLeft(both)
      assert.deepEqual([told.certificate.subject, told.authorized, told.encrypted, told.servername],
        ['CN=client', true, true, 'localhost'])
      assert.deepEqual([seen.accepted.length, seen.drops], isAllowed ? [1, []] : [0, ['ERR_MUX_REFUSED']])
      if (!isAllowed) assert.deepEqual([client.connection.closeCode, client.connection.closeReason], [7, 'no'])
    }
  })

  test(`${way}: a server is somebody else for a name, at once or later, or nobody`, async (t) => {
    for (const [SNICallback, expected] of [
      [(name, done) => done(null, name === 'elsewhere' ? identity('elsewhere') : undefined), 'CN=elsewhere'],
      [(name, done) => setTimeout(done, 5, null, identity('elsewhere')), 'CN=elsewhere'],
      [(name, done) => done(null), 'CN=server'],
      [(name, done) => done(new Error('nobody')), 'nobody'],
      [() => { throw new Error('thrown') }, 'thrown']
    ]) {
      const both = await begin(t, way, {
        serverTls: { SNICallback }, clientTls: { servername: 'elsewhere', rejectUnauthorized: false }
      })
      const { client, seen } = both
      if (expected.startsWith('CN=')) {
        await nextEvent(client, 'connect')
        assert.equal(client.connection.getPeerX509Certificate().subject, expected)
        client.destroy()
        await nothingIsLeft(both)
      } else {
        await nothingIsLeft(both)
        assert.deepEqual([seen.failures, seen.errors], [[expected], ['ERR_SSL_TLSV1_UNRECOGNIZED_NAME']])
      }
    }
  })

  test(`${way}: both ends are told of a handshake that fails`, async (t) => {
    for (const [options, atServer, atClient] of [
      [{ clientTls: { ca: undefined } }, 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
      [{ clientTls: { servername: 'else.where' } }, 'ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', 'ERR_TLS_CERT_ALTNAME_INVALID'],
      [{ serverTls: { ca, requestCert: true } }, 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE',
        'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED'],
      [{ clientTls: false }, 'ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_MUX_WRONG_PROTOCOL'],
      [{ serverTls: false }, undefined, 'ERR_SSL_WRONG_VERSION_NUMBER'],
      [{ server: { handshakeTimeout: 1000 }, serverTls: { SNICallback () {} } }, 'ERR_TLS_HANDSHAKE_TIMEOUT', 'ECONNRESET']
    ]) {
      const both = await begin(t, way, options)
      await nothingIsLeft(both)
      const { seen, con } = both
      assert.deepEqual([seen.failures, seen.errors], [atServer === undefined ? [] : [atServer], [atClient]])
      assert.equal(seen.accepted.length, atServer === undefined ? 1 : 0)
      assert.equal(con.destroyed, true)
    }
  })

  test(`${way}: an end in the middle of a handshake ends both`, async (t) => {
    for (const act of [
      ({ client }) => client.destroy(), ({ con }) => con.destroy(), ({ server }) => server.close(),
      ({ client }) => client.close(3, 'gone'), ({ server }) => server.closeAllConnections()
    ]) {
      const both = await begin(t, way, { serverTls: { SNICallback: () => setImmediate(act, both) } })
      await nothingIsLeft(both)
      assert.deepEqual(both.seen.accepted, [])
    }
  })
}
