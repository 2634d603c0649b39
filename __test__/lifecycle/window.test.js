'use strict'

// setLocalWindowSize(): how much a peer may send ahead, resized while data waits for it.

const test = require('node:test')
const assert = require('node:assert/strict')
const { connectPair, openPair } = require('../support/mux.js')
const { within } = require('../support/events.js')

const KIB = 1024

// Small windows of the connection, and no allowance for what the program holds.
const small = { connectionWindow: 64 * KIB, maxConnectionWindow: 64 * KIB, streamWindow: 1024 * KIB, maxHeld: 0 }

test('data that waits for the window of the connection goes on when it is enlarged', async (t) => {
  const { client, con } = await connectPair(t, { client: { protocol: 'auto' }, server: { protocol: 'auto', ...small } })
  await within(client.ping(), 'the ping')
  const { creator: local, acceptor: remote } = await openPair(client, con)
  remote.pause()
  let isSent = false
  const sent = new Promise((resolve) => local.write(Buffer.alloc(300 * KIB), () => { isSent = true; resolve() }))
  for (let round = 0; round < 3; round++) await within(client.ping(), 'a ping past what waits')
  assert.equal(isSent, false)
  con.setLocalWindowSize(512 * KIB)
  await within(sent, 'the write, which has room now')
  assert.equal(remote.isPaused(), true)
})

test('a smaller window holds a writer back once what was allowed is used up', async (t) => {
  const { client, con } = await connectPair(t, { client: { protocol: 'auto' }, server: { protocol: 'auto', ...small, maxConnectionWindow: 1024 * KIB } })
  await within(client.ping(), 'the ping')
  con.setLocalWindowSize(512 * KIB).setLocalWindowSize(1)
  const { creator: local, acceptor: remote } = await openPair(client, con)
  // More than the window was at first.
  let came = 0
  await within(new Promise((resolve) => {
    remote.on('data', (chunk) => {
      came += chunk.length
      if (came === 2048 * KIB) resolve()
    })
    for (let sent = 0; sent < 2048; sent += 64) local.write(Buffer.alloc(64 * KIB))
  }), 'all of it')
  remote.pause()
  let isSent = false
  const sent = new Promise((resolve) => local.write(Buffer.alloc(64 * KIB), () => { isSent = true; resolve() }))
  for (let round = 0; round < 3; round++) await within(client.ping(), 'a ping past what waits')
  assert.equal(isSent, false)
  remote.resume()
  await within(sent, 'the write')
})

test('the legacy wire has no window to resize', async (t) => {
  const { client, con } = await connectPair(t, { client: { protocol: 'legacy' }, server: { protocol: 'legacy' } })
  assert.equal(con.setLocalWindowSize(1), con)
  const { creator: local, acceptor: remote } = await openPair(client, con)
  const came = new Promise((resolve) => remote.once('data', resolve))
  local.write(Buffer.alloc(100))
  assert.equal((await within(came, 'the data')).length, 100)
})
