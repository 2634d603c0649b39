'use strict'

// COMPAT.md, "Programs that must run unchanged": four programs of 0.1.0's users, each in a process of its own. They name
// the package as a user does, and only their port is not a constant.

const test = require('node:test')
const assert = require('node:assert/strict')
const net = require('node:net')
const { freePort } = require('../support/mux.js')
const { within, pause } = require('../support/events.js')
const { run } = require('../support/child.js')

async function listens (port) {
  for (;;) {
    const socket = net.connect(port, 'localhost')
    const connected = await within(new Promise((resolve) => {
      socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
    }), 'an answer from the port')
    socket.destroy()
    if (connected) return
    await pause(10)
  }
}

test('a server that creates streams and the client that accepts them', async (t) => {
  const env = { PORT: String(await freePort()) }
  run(t, 'programs/1-server-creates.js', [], { env })
  await listens(Number(env.PORT))
  for (let client = 0; client < 3; client++) {
    const child = run(t, 'programs/2-client-accepts.js', [], { env })
    assert.equal(await child.line(), '{"type":"update","file":"xy.js"}')
    assert.equal(await child.line(), 'the content of xy.js')
  }
})

test('a client that creates streams and the server that accepts them', async (t) => {
  const env = { PORT: String(await freePort()) }
  const server = run(t, 'programs/4-server-accepts.js', [], { env })
  await listens(Number(env.PORT))
  for (let client = 0; client < 3; client++) {
    run(t, 'programs/3-client-creates.js', [], { env })
    assert.equal(await server.line(), '{"type":"update"}')
    assert.equal(await server.line(), 'from the client')
  }
})
