'use strict'

// The crate `qmux` at the other end of a connection in TLS, which OpenSSL puts around it, as a terminator would.

const test = require('node:test')
const assert = require('node:assert/strict')
const net = require('node:net')
const tls = require('node:tls')
const { MuxClient, startServer, watchClient } = require('../support/mux.js')
const { cleanup } = require('../support/cleanup.js')
const { nextEvent } = require('../support/events.js')
const { ca, identity } = require('../support/tls.js')
const { Peer, echo } = require('./peer.js')

// The identifier of QMux without a protocol of an application, as the crate has it.
const ALPN = ['qmux-02']

function join (near, far) {
  near.pipe(far).pipe(near)
  for (const [one, other] of [[near, far], [far, near]]) one.on('error', () => {}).on('close', () => other.destroy())
}

async function listen (t, server) {
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanup(t, () => server.close())
  return server.address().port
}

async function exchange (peer, con) {
  echo(con)
  const { intact } = await peer.ask('exchange 3 200000')
  assert.equal(intact, 3)
  assert.deepEqual([con.encrypted, con.alpnProtocol, con.protocol, con.stats().peer], [true, 'qmux-02', 'qmux', 'foreign'])
  const closed = nextEvent(con, 'close')
  peer.command('close 0')
  await closed
}

for (const version of ['TLSv1.2', 'TLSv1.3']) {
  for (const protocol of ['auto', 'qmux']) {
    test(`${version}: a client of the crate is served on '${protocol}'`, async (t) => {
      const server = await startServer(t, { protocol, tls: { ...identity('server'), ALPNProtocols: ALPN, maxVersion: version } })
      const accepted = nextEvent(server, 'connection')
      const port = await listen(t, net.createServer((near) => {
        join(near, tls.connect({ port: server.address().port, host: '127.0.0.1', servername: 'localhost', ca, ALPNProtocols: ALPN }))
      }))
      const peer = new Peer(t, ['connect', `127.0.0.1:${port}`], {})
      const [con] = await accepted
      await peer.event('established')
      await exchange(peer, con)
    })
  }

  test(`${version}: a server of the crate is spoken to`, async (t) => {
    const peer = new Peer(t, ['listen'], {})
    const target = await peer.event('listening')
    const settings = { ...identity('server'), ALPNProtocols: ALPN, maxVersion: version }
    const port = await listen(t, tls.createServer(settings, (near) => join(near, net.connect(target.port, '127.0.0.1'))))
    const client = await watchClient(t, new MuxClient({
      port, host: '127.0.0.1', protocol: 'qmux', tls: { servername: 'localhost', ca, ALPNProtocols: ALPN }
    }))
    await peer.event('established')
    await exchange(peer, client.connection)
  })
}
