'use strict'

// What an end says before it knows its peer: goaway() and close() in the listener that gets the connection.

const test = require('node:test')
const assert = require('node:assert/strict')
const { MuxClient, startServer } = require('./support/mux.js')
const { connectWire, frame } = require('./support/wire.js')
const { nextEvent, within } = require('./support/events.js')

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

const failure = (error) => [error.code, error.closeCode, error.application, error.message.includes('not now')]

for (const protocol of ['auto', 'qmux']) {
  test(`a client on '${protocol}' is told the code with which its server on 'auto' closes at once`, async (t) => {
    const server = await startServer(t, { protocol: 'auto' })
    server.on('connection', (con) => con.close(7, 'not now'))
    const client = new MuxClient({ port: server.address().port, host: '127.0.0.1', protocol })
    t.after(() => client.destroy())
    const [error] = await nextEvent(client, 'error')
    assert.deepEqual(failure(error), ['ERR_MUX_CLOSED_BY_PEER', 7, true, true])
  })
}

test('a server is told the code with which its client closes as soon as it is connected', async (t) => {
  const server = await startServer(t, { protocol: 'auto' })
  const failed = nextEvent(server, 'connectionError')
  const client = new MuxClient({ port: server.address().port, host: '127.0.0.1', protocol: 'auto' })
  client.on('connect', () => client.connection.close(9, 'not now'))
  const [error] = await failed
  assert.deepEqual(failure(error), ['ERR_MUX_CLOSED_BY_PEER', 9, true, true])
})

test('a close is over here at once, and an old or a silent peer sees the end', async (t) => {
  const server = await startServer(t, { protocol: 'auto' })
  const closes = []
  server.on('connection', (con) => {
    closes.push(nextEvent(con, 'close'))
    con.close(7)
  })
  const silent = await connectWire(t, server.address().port)
  const old = await connectWire(t, server.address().port)
  old.send(frame(0, 2, 'null'))
  await within(Promise.all([silent.closed, old.closed]), 'both to be closed')
  for (const closed of closes) assert.deepEqual(await closed, [false])
})
