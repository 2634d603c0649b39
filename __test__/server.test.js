'use strict'

// MuxServer against a fake native side: where it listens, whom it accepts, when it closes.

const test = require('node:test')
const assert = require('node:assert/strict')
const { inherits } = require('node:util')
const { ADDRESSES, Engine } = require('./support/fake-engine.js')
const { kind } = require('../lib/boundary.js')
const { MuxServer } = require('../lib/server.js')
const { nextEvent, turn, within } = require('./support/events.js')

const { CONNECTION, CONN_ERROR, CONN_CLOSE, SERVER_CLOSED, SERVER_ERROR } = kind

let fake
let next = 0

test.beforeEach(async () => {
  for (let count = 0; count < 3; count++) await turn()
})

// A server of its own number.
function listening (...args) {
  if (fake !== undefined) {
    fake.next = next++
    fake.calls.length = 0
  } else {
    next++
  }
  const server = new MuxServer(...args)
  fake = Engine.last
  return { server, number: next - 1 }
}

let connections = 0
function accept (number) {
  fake.push(CONNECTION, connections++, number, ADDRESSES)
  fake.wake()
  return connections - 1
}

const attempts = () => fake.calls.filter(([name]) => name === 'listen')
  .map(([, { address, ...options }]) => ({ ...options, ...address }))

test('without a host it listens on all addresses, at once, and says so in a later tick', async () => {
  const { server } = listening(12345)
  assert.deepEqual([attempts()[0].address, attempts()[0].port, attempts()[0].backlog], ['::', 12345, 511])
  assert.equal(server.listening, true)
  assert.deepEqual(server.address(), { address: '::', family: 'IPv6', port: 1 })
  await nextEvent(server, 'listening')
})

test('where there is no IPv6 it listens on all IPv4 addresses', async () => {
  listening(1)
  const { listen } = fake
  for (const errno of [-97, -99, -22]) {
    fake.listen = (text) => {
      const options = JSON.parse(text)
      fake.calls.push(['listen', options])
      return options.address.address === '::' ? errno : next++
    }
    const { server } = listening(1)
    assert.deepEqual(attempts().map(({ address }) => address), ['::', '0.0.0.0'])
    await nextEvent(server, 'listening')
  }
  fake.listen = listen
})

test('a listen that fails is an error event, not an exception', async () => {
  listening(1)
  const { listen } = fake
  fake.listen = () => -98
  const { server } = listening(12345)
  fake.listen = listen
  const [error] = await nextEvent(server, 'error')
  assert.deepEqual([error.code, error.syscall, error.address, error.port, error.message],
    ['EADDRINUSE', 'listen', '::', 12345, 'listen EADDRINUSE: address already in use :::12345'])
  assert.equal(server.listening, false)
  assert.equal(server.address(), null)
})

test('a name is looked up first, a path is passed on', async () => {
  const { server } = listening({ port: 1, host: 'localhost' })
  assert.equal(server.listening, false)
  await nextEvent(server, 'listening')
  assert.match(attempts()[0].address, /^(127\.0\.0\.1|::1)$/)
  listening({ path: '/a.sock', readableAll: true })
  assert.deepEqual([attempts()[0].path, attempts()[0].readableAll], ['/a.sock', true])
})

test('closing while the name is looked up never listens', async () => {
  const { server } = listening({ port: 1, host: 'localhost' })
  await within(new Promise((resolve) => server.close(resolve)), 'the close')
  await new Promise((resolve) => require('node:dns').lookup('localhost', resolve))
  assert.deepEqual(attempts(), [])
})

test('plain inheritance and class both work', () => {
  function Old (port) {
    MuxServer.call(this, port)
  }
  inherits(Old, MuxServer)
  class New extends MuxServer {}
  for (const Class of [Old, New]) {
    fake.next = next++
    const server = new Class(1)
    assert.ok(server instanceof MuxServer)
    assert.equal(server.listening, true)
  }
})

test('a connection is announced with its addresses', async () => {
  const { server, number } = listening(1)
  const announced = nextEvent(server, 'connection')
  accept(number)
  const [con] = await announced
  assert.equal(con.remoteAddress, '127.0.0.2')
  const count = await new Promise((resolve) => server.getConnections((error, value) => resolve([error, value])))
  assert.deepEqual(count, [null, 1])
})

test('above maxConnections a connection is dropped and reported', () => {
  const { server, number } = listening({ port: 1, maxConnections: 1 })
  const seen = []
  server.on('connection', () => seen.push('connection'))
  server.on('drop', (data) => seen.push(data))
  accept(number)
  const second = accept(number)
  assert.deepEqual(seen, ['connection', {
    localAddress: '127.0.0.1',
    localPort: 1,
    localFamily: 'IPv4',
    remoteAddress: '127.0.0.2',
    remotePort: 2,
    remoteFamily: 'IPv4'
  }])
  assert.deepEqual(fake.calls.at(-1), ['destroy', second, false])
})

test('close comes when the socket is closed and the last connection has ended', async () => {
  const { server, number } = listening(1)
  const con = accept(number)
  let closed = 0
  server.on('close', () => closed++)
  server.close(() => closed++)
  assert.deepEqual(fake.calls.filter(([name]) => name === 'closeServer'), [['closeServer', number]])
  assert.equal(server.address(), null)
  // What was accepted meanwhile is closed.
  const late = accept(number)
  assert.deepEqual(fake.calls.at(-1), ['destroy', late, false])
  fake.push(SERVER_CLOSED, number)
  fake.wake()
  await turn()
  assert.deepEqual(fake.calls.at(-1), ['releaseServer', number])
  assert.equal(closed, 0)
  fake.push(CONN_CLOSE, con, 0, '{}')
  fake.wake()
  await turn()
  assert.equal(closed, 2)
  const [error] = await within(new Promise((resolve) => server.close((...args) => resolve(args))), 'the callback')
  assert.equal(error.code, 'ERR_SERVER_NOT_RUNNING')
})

test('a failed connection is reported to the server only if it listens to no errors itself', async () => {
  const { server, number } = listening(1)
  const seen = []
  server.on('connectionError', (error, con) => seen.push([error.code, con.destroyed]))
  server.on('connection', (con) => con.on('close', (hadError) => seen.push(hadError)))
  const fail = async (con) => {
    fake.push(CONN_ERROR, con, 0, '{"origin":"system","errno":-104,"syscall":"read"}')
    fake.push(CONN_CLOSE, con, 0, '{}', 1)
    fake.wake()
    await turn()
  }
  await fail(accept(number))
  assert.deepEqual(seen, [['ECONNRESET', true], true])
  server.removeAllListeners('connectionError')
  await fail(accept(number))
  assert.deepEqual(seen.slice(2), [true])
  server.on('connection', (con) => con.on('error', (error) => seen.push(error.syscall)))
  server.on('connectionError', assert.fail)
  await fail(accept(number))
  assert.deepEqual(seen.slice(3), ['read', true])
})

test('a failed accept is an error event if somebody listens, else one warning', async () => {
  const { server, number } = listening(1)
  const text = '{"origin":"system","errno":-24,"syscall":"accept"}'
  const warned = nextEvent(process, 'warning')
  for (let count = 0; count < 2; count++) {
    fake.push(SERVER_ERROR, number, 0, text)
    fake.wake()
  }
  assert.equal((await warned)[0].code, 'EMFILE')
  const failed = nextEvent(server, 'error')
  fake.push(SERVER_ERROR, number, 0, text)
  fake.wake()
  assert.deepEqual([(await failed)[0].code, (await failed)[0].syscall], ['EMFILE', 'accept'])
})

test('a listening server holds the loop until unref, or until it is closed', () => {
  const { server } = listening(1)
  const refs = () => server._hasRef
  assert.equal(refs(), true)
  assert.equal(server.unref(), server)
  assert.equal(refs(), false)
  server.ref()
  assert.equal(refs(), true)
})

test('a signal closes the server, before it listens or later', async () => {
  const controller = new AbortController()
  const { server, number } = listening({ port: 1, signal: controller.signal })
  await nextEvent(server, 'listening')
  controller.abort()
  assert.equal(server.listening, false)
  const closed = nextEvent(server, 'close')
  fake.push(SERVER_CLOSED, number)
  fake.wake()
  await closed
  const late = listening({ port: 1, signal: controller.signal }).server
  late.on('listening', assert.fail)
  await turn()
  assert.equal(late.listening, false)
})

test('asyncDispose closes, also what is closed', async () => {
  const { server, number } = listening(1)
  const disposed = server[Symbol.asyncDispose]()
  fake.push(SERVER_CLOSED, number)
  fake.wake()
  await disposed
  await server[Symbol.asyncDispose]()
})
