'use strict'

// Whom a real server does not let in: too many connections, too many from one address, addresses of its block list.

const test = require('node:test')
const { deepEqual, equal } = require('node:assert/strict')
const net = require('node:net')
const { startServer, openClient, MuxClient, temporaryFolder } = require('./support/mux.js')
const { cleanup } = require('./support/cleanup.js')
const { eventually, nextEvent } = require('./support/events.js')

// A client that need not be let in, and whose end is no error of the test.
function knock (t, options) {
  const client = new MuxClient(options)
  client.on('error', () => {})
  cleanup(t, () => client.destroy())
  return nextEvent(client, 'close')
}

const from = (server, localAddress) => ({ port: server.address().port, host: '127.0.0.1', localAddress })

test('one address has its share, and another is still let in', async (t) => {
  const server = await startServer(t, { maxConnectionsPerAddress: 2 })
  const [drops, accepted] = [[], []]
  server.on('drop', (data, error) => drops.push([data.remoteAddress, data.localPort, error.code]))
  server.on('connection', (con) => accepted.push(con))
  const clients = [await openClient(t, server), await openClient(t, server)]
  await knock(t, from(server))
  deepEqual(drops, [['127.0.0.1', server.address().port, 'ERR_MUX_MAX_CONNECTIONS_PER_ADDRESS']])
  await openClient(t, server, { localAddress: '127.0.0.2' })
  await eventually(() => accepted.length === 3, 'the other address is let in')
  // A place that is given back can be had again.
  const closed = nextEvent(accepted[0], 'close')
  clients[0].destroy()
  await closed
  await openClient(t, server)
  await eventually(() => accepted.length === 4, 'the next is let in')
  equal(drops.length, 1)
  server.maxConnectionsPerAddress = Infinity
  await openClient(t, server)
  await eventually(() => accepted.length === 5, 'the limit is lifted')
})

test('on a Unix socket nobody has an address', async (t) => {
  const path = `${temporaryFolder(t)}/a.sock`
  const blockList = new net.BlockList()
  blockList.addSubnet('0.0.0.0', 0)
  const server = await startServer(t, { path, maxConnectionsPerAddress: 1, blockList })
  let accepted = 0
  server.on('connection', () => accepted++)
  server.on('drop', (_, error) => { throw error })
  for (let count = 0; count < 3; count++) await openClient(t, server, { path })
  await eventually(() => accepted === 3, 'all are let in')
})

test('addresses of the block list are closed without a word, also those added or set later', async (t) => {
  const blockList = new net.BlockList()
  blockList.addAddress('127.0.0.2')
  const server = await startServer(t, { blockList, maxConnections: 1, host: '::ffff:127.0.0.1' })
  let accepted = 0
  server.on('connection', () => accepted++)
  server.on('drop', (_, error) => { throw error })
  await knock(t, from(server, '127.0.0.2'))
  equal(accepted, 0)
  const client = await openClient(t, server)
  await eventually(() => accepted === 1, 'another is let in')
  // The list goes before the limits, of which there would be an event.
  blockList.addRange('127.0.0.3', '127.0.0.9')
  await knock(t, from(server, '127.0.0.5'))
  server.blockList = undefined
  const gone = nextEvent(client, 'close')
  client.destroy()
  await gone
  await eventually(() => server._connections.size === 0, 'the place is free')
  await openClient(t, server, { localAddress: '127.0.0.5' })
  await eventually(() => accepted === 2, 'nobody is blocked any more')
})
