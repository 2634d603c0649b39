'use strict'

// What a real server does with all of its connections.

const test = require('node:test')
const { equal } = require('node:assert/strict')
const { startServer, openClient } = require('./support/mux.js')
const { eventually, nextEvent, within } = require('./support/events.js')

const count = (server) => new Promise((resolve) => server.getConnections((error, number) => resolve(error ?? number)))

test('closeAllConnections() destroys what is open, and listening goes on', async (t) => {
  const server = await startServer(t)
  let accepted = 0
  server.on('connection', () => accepted++)
  const clients = [await openClient(t, server), await openClient(t, server)]
  await eventually(() => accepted === 2, 'both are accepted')
  const closed = clients.map((client) => nextEvent(client, 'close'))
  equal(server.closeAllConnections(), server)
  equal(server.listening, true)
  await Promise.all(closed)
  const later = await openClient(t, server)
  await eventually(() => accepted === 3, 'the third is accepted')
  const done = nextEvent(later, 'close')
  const over = within(new Promise((resolve) => server.close(resolve)), 'the close')
  server.closeAllConnections()
  await Promise.all([done, over])
  equal(await count(server), 0)
})
