'use strict'

// captureRejections: a rejection of an async listener ends the one thing it is about.

const test = require('node:test')
const assert = require('node:assert/strict')
const { EventEmitter } = require('node:events')
const { startServer, openClient, connectPair, openPair } = require('./support/mux.js')
const { nextEvent, within } = require('./support/events.js')

const ON = { server: { captureRejections: true }, client: { captureRejections: true } }

const rejects = async () => { throw new Error('mine') }

// Resolves with the 'error' of an emitter and waits for its 'close'.
async function failed (emitter) {
  const closed = nextEvent(emitter, 'close')
  const [error] = await nextEvent(emitter, 'error')
  await closed
  return error.message
}

test('a connection listener of a server loses that connection, and the server goes on', async (t) => {
  const server = await startServer(t, ON.server)
  server.on('error', (error) => assert.fail(error))
  const first = nextEvent(server, 'connection')
  const errors = nextEvent(server, 'connectionError')
  server.once('connection', rejects)
  const client = await openClient(t, server)
  const [con] = await first
  const [error, of] = await errors
  assert.deepEqual([error.message, of], ['mine', con])
  if (!client.destroyed) await nextEvent(client, 'close')
  const second = nextEvent(server, 'connection')
  await openClient(t, server)
  assert.equal((await second)[0].destroyed, false)
})

test('any other listener of a server makes an error of the server', async (t) => {
  const server = await startServer(t, ON.server)
  server.on('own', rejects)
  const error = nextEvent(server, 'error')
  server.emit('own')
  assert.equal((await error)[0].message, 'mine')
})

for (const [title, from, to] of [['connection', 'client', 'con'], ['client', 'con', 'client']]) {
  test(`a stream listener of a ${title} loses that stream`, async (t) => {
    const pair = await connectPair(t, ON)
    let accepted
    pair[to].on('stream', (stream) => {
      accepted = stream
      stream.on('error', () => {})
    })
    pair[to].once('stream', rejects)
    const { creator } = await openPair(pair[from], pair[to])
    creator.on('error', () => {})
    if (!accepted.closed) await nextEvent(accepted, 'close')
    assert.equal(accepted.errored.message, 'mine')
    await openPair(pair[from], pair[to])
    assert.equal(pair.con.destroyed || pair.client.destroyed, false)
  })
}

test('a listener of a stream loses that stream, created or accepted', async (t) => {
  const { con, client } = await connectPair(t, ON)
  for (const side of ['creator', 'acceptor']) {
    const { [side]: stream } = await openPair(client, con)
    const failure = failed(stream)
    stream.on('own', rejects)
    stream.emit('own')
    assert.equal(await failure, 'mine')
  }
  assert.equal(con.destroyed || client.destroyed, false)
})

test('any other listener of a connection or client loses that', async (t) => {
  for (const side of ['con', 'client']) {
    const { [side]: one } = await connectPair(t, ON)
    const failure = failed(one)
    one.on('timeout', rejects)
    one.emit('timeout')
    assert.equal(await failure, 'mine')
  }
})

test('the setting of node:events does the same for all', async (t) => {
  EventEmitter.captureRejections = true
  t.after(() => { EventEmitter.captureRejections = false })
  const { con, client } = await connectPair(t)
  const { acceptor } = await openPair(client, con)
  acceptor.on('error', () => {})
  acceptor.on('data', rejects)
  const closed = nextEvent(acceptor, 'close')
  const again = openPair(client, con)
  acceptor.emit('data', Buffer.alloc(1))
  await closed
  assert.equal(acceptor.errored.message, 'mine')
  await again
  assert.equal(con.destroyed, false)
})

test('without it a rejection is an unhandled one, as ever', async (t) => {
  const { con } = await connectPair(t)
  const before = process.listeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection')
  t.after(() => { for (const each of before) process.on('unhandledRejection', each) })
  const unhandled = within(new Promise((resolve) => process.once('unhandledRejection', resolve)), 'the rejection')
  con.on('own', rejects)
  con.emit('own')
  assert.equal((await unhandled).message, 'mine')
  assert.equal(con.destroyed, false)
})
