'use strict'

// Opens that fail, where a callback waits for them; signals that outlive the open; the live streams of a pool.

const test = require('node:test')
const assert = require('node:assert/strict')
const { AsyncLocalStorage } = require('node:async_hooks')
const { getEventListeners } = require('node:events')
const { finished } = require('node:stream/promises')
const { MuxClient, startServer, connectPair, openPair, PROTOCOL } = require('./support/mux.js')
const { eventually, events, nextEvent, turn, within } = require('./support/events.js')

// Resolves with [error.code, meta] of the next failure at both the client and its connection.
async function failure (client) {
  const seen = []
  const con = client._connection
  con.once('streamFailed', (error, meta) => seen.push(['connection', error.code, meta]))
  await nextEvent(client, 'streamFailed').then(([error, meta]) => seen.push(['client', error.code, meta]))
  assert.deepEqual(seen.map(([of]) => of), ['connection', 'client'])
  assert.deepEqual(seen[0].slice(1), seen[1].slice(1))
  return seen[0].slice(1)
}

test('a refusal is told to the callback\'s side, and a Promise rejects without the event', async (t) => {
  const { client, con } = await connectPair(t, { client: { protocol: 'auto' }, server: { protocol: 'auto' } })
  await within(client.ping(), 'the ping')
  con.on('stream', (stream) => stream.refuse(5))
  let told = 0
  client.on('streamFailed', () => told++)
  const failed = failure(client)
  assert.equal(client.StreamPool.createStream({ n: 1 }, () => assert.fail('there is no stream')), undefined)
  assert.deepEqual(await failed, ['ERR_MUX_STREAM_REFUSED', { n: 1 }])
  await assert.rejects(within(client.StreamPool.createStream({ n: 2 }), 'the refusal'), { refuseCode: 5 })
  await turn()
  assert.equal(told, 1)
})

test('goaway, the end of the connection and what is created behind it are told', async (t) => {
  const { client, con } = await connectPair(t, { client: { protocol: 'auto' }, server: { protocol: 'auto' } })
  await within(client.ping(), 'the ping')
  con.on('stream', () => {})
  const away = nextEvent(client, 'goaway')
  con.goaway()
  await away
  let failed = failure(client)
  client.StreamPool.createStream('away', () => {})
  assert.deepEqual(await failed, ['ERR_MUX_GOAWAY', 'away'])
  const closed = nextEvent(client, 'close')
  client.destroy()
  await closed
  failed = failure(client)
  client.StreamPool.createStream('behind', () => {})
  assert.deepEqual(await failed, ['ERR_MUX_CONNECTION_CLOSED', 'behind'])
})

test('a connection that ends tells of what waits, before its close', async (t) => {
  const { client, con } = await connectPair(t)
  con.pause()
  const order = []
  client.on('streamFailed', (error, meta) => order.push([error.code, meta]))
  client.on('close', () => order.push('close'))
  const closed = nextEvent(client, 'close')
  client.StreamPool.createStream(1, () => {})
  client.StreamPool.createStream(2, () => {})
  client.destroy()
  await closed
  assert.deepEqual(order, [['ERR_MUX_CONNECTION_CLOSED', 1], ['ERR_MUX_CONNECTION_CLOSED', 2], 'close'])
})

test('a connect that fails tells of what waited for it', async () => {
  const client = new MuxClient(1, '127.0.0.1')
  client.on('error', () => {})
  const failed = failure(client)
  const closed = nextEvent(client, 'close')
  client.StreamPool.createStream('before', () => {})
  assert.deepEqual(await failed, ['ECONNREFUSED', 'before'])
  await closed
})

test('an aborted open is told, whether the abort came before or behind it', async (t) => {
  const { client, con } = await connectPair(t)
  con.on('stream', () => {})
  let failed = failure(client)
  client.StreamPool.createStream(1, { signal: AbortSignal.abort() }, () => assert.fail('there is no stream'))
  assert.deepEqual(await failed, ['ABORT_ERR', 1])
  failed = failure(client)
  const controller = new AbortController()
  client.StreamPool.createStream(2, { signal: controller.signal }, () => assert.fail('there is no stream'))
  controller.abort()
  assert.deepEqual(await failed, ['ABORT_ERR', 2])
})

test('a server\'s connection tells of it, too', async (t) => {
  const { client, con } = await connectPair(t)
  client.connection.pause()
  const failed = nextEvent(con, 'streamFailed')
  con.StreamPool.createStream('m', () => {})
  con.destroy()
  const [error, meta] = await failed
  assert.deepEqual([error.code, meta], ['ERR_MUX_CONNECTION_CLOSED', 'm'])
})

test('the event is not in the context of who opened', async (t) => {
  const { client } = await connectPair(t)
  const storage = new AsyncLocalStorage()
  client.destroy()
  const seen = within(new Promise((resolve) => {
    client.on('streamFailed', () => resolve(storage.getStore()))
  }), 'the event')
  storage.run('opener', () => client.StreamPool.createStream(1, () => {}))
  assert.equal(await seen, undefined)
})

// ---- signals ----

test('an abort destroys the open stream: its waiters and listeners get the AbortError', async (t) => {
  const { client, con } = await connectPair(t)
  const controller = new AbortController()
  const { creator } = await openPair(client, con, 1, { signal: controller.signal })
  const done = finished(creator)
  const error = nextEvent(creator, 'error')
  creator.write('x')
  controller.abort(new Error('enough'))
  assert.equal(creator.destroyed, true)
  await assert.rejects(within(done, 'finished()'), { name: 'AbortError', code: 'ABORT_ERR' })
  assert.equal((await error)[0].cause.message, 'enough')
  assert.equal(client.destroyed, false)
})

test('a long-lived signal keeps nothing of the streams that closed, and Node warns of nothing', async (t) => {
  const { client, con } = await connectPair(t)
  const { signal } = new AbortController()
  const warnings = []
  const note = (warning) => warnings.push(warning)
  process.on('warning', note)
  t.after(() => process.removeListener('warning', note))
  con.on('stream', (stream) => stream.resume())
  const streams = await within(Promise.all(
    Array.from({ length: 50 }, (_, index) => client.StreamPool.createStream(index, { signal }))), 'the streams')
  assert.equal(getEventListeners(signal, 'abort').length, 1)
  const closed = Promise.all(streams.map((stream) => nextEvent(stream, 'close')))
  streams.forEach((stream, index) => index % 2 === 0 ? stream.destroy() : stream.resume().end())
  await turn()
  con.destroy()
  await closed
  assert.equal(getEventListeners(signal, 'abort').length, 0)
  await turn()
  assert.deepEqual(warnings, [])
})

test('an abort reaches all that a signal governs, opens and streams alike, and what comes to it later', async (t) => {
  const { client, con } = await connectPair(t)
  const controller = new AbortController()
  const { signal } = controller
  const { creator } = await openPair(client, con, 1, { signal })
  con.pause()
  const waiting = client.StreamPool.createStream(2, { signal })
  const closed = nextEvent(creator, 'close')
  controller.abort()
  await assert.rejects(within(waiting, 'the abort'), { name: 'AbortError' })
  await closed
  assert.equal(creator.errored.name, 'AbortError')
  assert.equal(getEventListeners(signal, 'abort').length, 0)
  await assert.rejects(client.StreamPool.createStream(3, { signal }), { name: 'AbortError' })
})

// ---- the pool's live streams ----

test('streams shows those of both ends by id, as long as they live', async (t) => {
  const { client, con } = await connectPair(t)
  assert.deepEqual(Object.keys(client.StreamPool.streams), [])
  const ours = await openPair(client, con)
  const theirs = await openPair(con, client)
  const { streams } = client.StreamPool
  assert.equal(streams[ours.creator.id], ours.creator)
  assert.equal(streams[theirs.acceptor.id], theirs.acceptor)
  assert.equal(Object.keys(streams).length, 2)
  assert.notEqual(client.StreamPool.streams, streams)
  assert.deepEqual(Object.keys(con.StreamPool.streams), Object.keys(streams))
  const closed = nextEvent(ours.creator, 'close')
  ours.creator.destroy()
  assert.equal(client.StreamPool.streams[ours.creator.id], undefined)
  await closed
  const over = nextEvent(client, 'close')
  client.destroy()
  await over
  assert.deepEqual(client.StreamPool.streams, {})
})

test('an open that waits is not among them', async (t) => {
  const { client, con } = await connectPair(t)
  con.pause()
  client.StreamPool.createStream(1, () => {})
  assert.deepEqual(client.StreamPool.streams, {})
  con.resume()
  await eventually(() => Object.keys(client.StreamPool.streams).length === 1, 'it is there')
})

// ---- the client as its connection ----

test('before the connect a client counts, pings, goes away and times out', async (t) => {
  const server = await startServer(t, { protocol: 'auto' })
  const client = new MuxClient({ port: server.address().port, host: '127.0.0.1' })
  t.after(() => client.destroy())
  assert.deepEqual([client.stats().bytesRead, client.stats().peer, client.stats().streamsLive], [0, 'undecided', 0])
  assert.equal(client.goaway(), client)
  assert.equal(client.setTimeout(60_000).setTimeout(0), client)
  const ping = within(client.ping(), 'the ping')
  const [con] = await nextEvent(server, 'connection')
  con.on('streamFailed', () => {})
  assert.ok(await ping >= 0)
  assert.deepEqual(client.stats(), client.connection.stats())
  const [error] = await Promise.all([nextEvent(con, 'streamFailed'), con.StreamPool.createStream(1, () => {})])
  assert.equal(error[0].code, 'ERR_MUX_GOAWAY')
})

test('a ping before a connect that fails rejects, and close() gives a connect up', async () => {
  const client = new MuxClient(1, '127.0.0.1')
  client.on('error', () => {})
  await assert.rejects(within(client.ping(), 'the ping'), { code: 'ECONNREFUSED' })
  const given = new MuxClient(1, '127.0.0.1')
  const closed = nextEvent(given, 'close')
  assert.equal(given.close(4, 'changed my mind'), given)
  assert.deepEqual(await closed, [false])
})

test('close() of a client tells the server why', async (t) => {
  const { client, con } = await connectPair(t, { client: { protocol: 'auto' }, server: { protocol: 'auto' } })
  await within(client.ping(), 'the ping')
  const failed = nextEvent(con, 'error')
  client.close(6, 'bye')
  const [error] = await failed
  assert.deepEqual([error.closeCode, error.closeReason], [6, 'bye'])
})

test('setTimeout() of a client emits on both, and its listener is one of the client\'s', async (t) => {
  const { client } = await connectPair(t)
  const both = Promise.all([nextEvent(client, 'timeout'), nextEvent(client.connection, 'timeout')])
  const listened = within(new Promise((resolve) => client.setTimeout(5, resolve)), 'the listener')
  // The timer itself keeps no process.
  const alive = setInterval(() => {}, 1000)
  await Promise.all([both, listened])
  clearInterval(alive)
  const unheard = () => assert.fail('it was taken back')
  client.setTimeout(60_000, unheard)
  client.setTimeout(0, unheard)
  assert.equal(client.listenerCount('timeout'), 0)
  assert.throws(() => client.setTimeout(-1), { code: 'ERR_MUX_INVALID_ARG' })
  assert.throws(() => client.setTimeout(1, 'x'), { code: 'ERR_MUX_INVALID_ARG' })
  assert.equal(client.connection.timeout, 0)
})

test('streamRefused is told to a client, too', { skip: PROTOCOL === 'legacy' }, async (t) => {
  const { client, con } = await connectPair(t)
  await within(client.ping(), 'the ping')
  con.on('stream', (stream) => stream.refuse(8))
  const both = Promise.all([events(client, 'streamRefused', 1), events(client.connection, 'streamRefused', 1)])
  client.StreamPool.createStream({ m: 1 }, () => {})
  assert.deepEqual(await both, [[[{ m: 1 }, 8]], [[{ m: 1 }, 8]]])
})
