'use strict'

// What a peer is told by close(code, reason), by end() and by destroy(), and where a program reads it.

const test = require('node:test')
const assert = require('node:assert/strict')
const { connectPair, BOTH_LEGACY } = require('./support/mux.js')
const { nextEvent, within } = require('./support/events.js')

// Resolves with the fields of the connection as each of its last events saw them.
function watch (con) {
  const seen = {}
  const note = (event) => (error) => { seen[event] = { error, code: con.closeCode, reason: con.closeReason } }
  con.on('error', note('error')).on('end', note('end'))
  return within(new Promise((resolve) => {
    con.on('close', (hadError) => {
      note('close')(hadError)
      resolve(seen)
    })
  }), 'the close')
}

async function onQmux (t) {
  const { client, con } = await connectPair(t, { server: { protocol: 'auto' }, client: { protocol: 'auto' } })
  assert.deepEqual([con.closeCode, con.closeReason], [undefined, undefined])
  await within(client.connection.ping(), 'the ping')
  return { client, con }
}

test('code 0 is no error, and the reason is told from end on', async (t) => {
  const { client, con } = await onQmux(t)
  const watched = watch(con)
  client.connection.close(0, 'grüße "und" danke')
  const { error, end, close } = await watched
  assert.equal(error, undefined)
  const told = { error: undefined, code: 0, reason: 'grüße "und" danke' }
  assert.deepEqual(end, told)
  assert.deepEqual(close, { ...told, error: false })
  // It is what the peer said, and this end said nothing.
  assert.deepEqual([client.connection.closeCode, client.connection.closeReason], [undefined, undefined])
})

test('of another code the error and the connection both tell the reason', async (t) => {
  const { client, con } = await onQmux(t)
  const watched = watch(client.connection)
  con.close(7, 'out of disk')
  const { error, close } = await watched
  assert.equal(error.error.code, 'ERR_MUX_CLOSED_BY_PEER')
  assert.deepEqual([error.error.closeCode, error.error.closeReason], [7, 'out of disk'])
  assert.deepEqual([error.code, error.reason], [7, 'out of disk'])
  assert.deepEqual([close.code, close.reason], [7, 'out of disk'])
})

test('without a reason it is empty', async (t) => {
  const { client, con } = await onQmux(t)
  const watched = watch(con)
  client.connection.close(9)
  const { error } = await watched
  assert.equal(error.error.closeReason, '')
  assert.equal(error.reason, '')
})

test('destroy() tells code 0, and an error of the program\'s own tells nothing about the peer', async (t) => {
  const { client, con } = await onQmux(t)
  const ours = watch(client.connection)
  const theirs = watch(con)
  client.connection.destroy(Object.assign(new Error('mine'), { closeCode: 5, closeReason: 'of another connection' }))
  assert.equal((await ours).close.code, undefined)
  assert.deepEqual((await theirs).close, { error: false, code: 0, reason: '' })
})

test('the legacy wire tells nothing', async (t) => {
  const { client, con } = await connectPair(t, BOTH_LEGACY)
  const closed = nextEvent(con, 'close')
  client.connection.close(3, 'unheard')
  await closed
  assert.deepEqual([con.closeCode, con.closeReason], [undefined, undefined])
})
