'use strict'

// goaway() in a 'connection' listener, before the peer has said what it is.

const test = require('node:test')
const assert = require('node:assert/strict')
const { MuxClient, startServer } = require('./support/mux.js')
const { within } = require('./support/events.js')

for (const protocol of ['auto', 'qmux']) {
  test(`a client on '${protocol}' learns that its server on 'auto' goes away at once`, async (t) => {
    const server = await startServer(t, { protocol: 'auto' })
    server.on('connection', (con) => {
      con.goaway()
      con.on('stream', () => assert.fail('a stream is served'))
    })
    const client = new MuxClient({ port: server.address().port, host: '127.0.0.1', protocol })
    t.after(() => client.destroy())
    const gone = new Promise((resolve) => client.once('connect', () => client.connection.once('goaway', resolve)))
    await within(gone, "'goaway'")
    await assert.rejects(async () => client.StreamPool.createStream(1), { code: 'ERR_MUX_GOAWAY' })
  })
}
