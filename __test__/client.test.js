'use strict'

// MuxClient against a fake native side: names, addresses, who hears what.

const test = require('node:test')
const assert = require('node:assert/strict')
const dns = require('node:dns')
const { inherits } = require('node:util')
const { ADDRESSES, Engine, connected } = require('./support/fake-engine.js')
const { kind, op } = require('../lib/boundary.js')
const { MuxClient } = require('../lib/client.js')
const { nextEvent, turn } = require('./support/events.js')

test.beforeEach(async () => {
  for (let count = 0; count < 3; count++) await turn()
})

const LOCAL = { address: '127.0.0.1', family: 4 }

// The options that connect() was last given.
function attempt () {
  const call = Engine.last.calls.findLast(([name]) => name === 'connect')
  return call && call[1]
}

// Connects through a lookup that answers with `found`; gives what it was asked and the client.
function lookingUp (found, options = {}) {
  const asked = []
  const client = new MuxClient({
    port: 9,
    host: 'some.name',
    lookup (host, request, done) {
      asked.push([host, request])
      if (found instanceof Error) done(found)
      else if (request.all) done(null, found)
      else done(null, found[0].address, found[0].family)
    },
    ...options
  })
  return { client, asked }
}

test('the constructor is a plain function, for util.inherits and for class', () => {
  function Old (port) {
    MuxClient.call(this, port, '127.0.0.1')
  }
  inherits(Old, MuxClient)
  class New extends MuxClient {}
  for (const client of [new Old(1), new New(1, '127.0.0.1'), Reflect.apply(MuxClient, undefined, [1, '127.0.0.1'])]) {
    assert.ok(client instanceof MuxClient)
    assert.equal(client.connection, undefined)
    assert.equal(typeof client.StreamPool.createStream, 'function')
  }
})

test('the callback may stand second, third, or be missing; something else there is refused', () => {
  for (const args of [[1, () => {}], [1, '127.0.0.1', () => {}], [{ port: 1 }, () => {}], ['/a.sock', () => {}]]) {
    assert.equal(new MuxClient(...args).listenerCount('connect'), 1)
  }
  assert.equal(new MuxClient(1).listenerCount('connect'), 0)
  assert.throws(() => new MuxClient(1, '127.0.0.1', 'x'), { code: 'ERR_MUX_INVALID_ARG' })
})

test('an address is connected to without a lookup, and a path too', () => {
  new MuxClient({ port: 5, host: '::1', lookup: assert.fail })
  assert.deepEqual(attempt().addresses, [{ address: '::1', port: 5 }])
  new MuxClient('/a.sock')
  assert.deepEqual([attempt().path, attempt().addresses], ['/a.sock', []])
})

test('the end to connect from is an address, a port of any, or not chosen', () => {
  const local = (options) => {
    new MuxClient({ port: 5, host: '::1', ...options })
    return attempt().local
  }
  assert.deepEqual(local({ localAddress: '::1' }), { address: '::1', port: 0 })
  assert.deepEqual(local({ localPort: 7 }), { address: '::', port: 7 })
  assert.deepEqual(local({ localAddress: '127.0.0.1', localPort: 7 }), { address: '127.0.0.1', port: 7 })
  for (const options of [{}, { localPort: 0 }, { localAddress: '' }]) assert.equal(local(options), undefined)
})

test('a name is looked up as net does it', () => {
  const { asked } = lookingUp([LOCAL])
  const hints = process.platform === 'win32' ? 0 : dns.ADDRCONFIG
  assert.deepEqual(asked, [['some.name', { family: 0, hints, all: true }]])
  assert.deepEqual(lookingUp([LOCAL], { family: 4 }).asked[0][1], { family: 4, hints: 0 })
  assert.deepEqual(lookingUp([LOCAL], { autoSelectFamily: false, hints: 7 }).asked[0][1], { family: 0, hints: 7 })
  assert.deepEqual(lookingUp([LOCAL], { localAddress: '127.0.0.2' }).asked[0][1], { family: 0, hints })
})

test('addresses are tried with their families in turn, that of the first found first, each once', () => {
  lookingUp([
    { address: '::1', family: 6 }, { address: '::2', family: 6 }, LOCAL, { address: 'junk', family: 4 },
    { address: '::1', family: 6 }, { address: '127.0.0.3', family: 4 }, { address: '127.0.0.4', family: 4 }
  ], { autoSelectFamilyAttemptTimeout: 77 })
  const order = attempt().addresses.map(({ address }) => address)
  assert.deepEqual(order, ['::1', '127.0.0.1', '::2', '127.0.0.3', '127.0.0.4'])
  assert.equal(attempt().attemptTimeout, 77)
})

test('a lookup that fails, or finds no address, is the client\'s error', async () => {
  const failure = Object.assign(new Error('getaddrinfo ENOTFOUND some.name'), { code: 'ENOTFOUND' })
  for (const [found, code] of [
    [failure, 'ENOTFOUND'],
    [[{ address: 'junk', family: 4 }], 'ERR_INVALID_IP_ADDRESS'],
    [[{ address: '127.0.0.1', family: 5 }], 'ERR_INVALID_ADDRESS_FAMILY'],
    [[], 'ERR_INVALID_IP_ADDRESS']
  ]) {
    const { client } = lookingUp(found)
    const closed = nextEvent(client, 'close')
    const [error] = await nextEvent(client, 'error')
    assert.equal(error.code, code)
    assert.deepEqual(await closed, [true])
    assert.equal(client.connection, undefined)
  }
})

test('a client destroyed while its name is looked up never connects', async () => {
  let answer
  const client = new MuxClient({ port: 1, host: 'some.name', lookup (host, request, done) { answer = done } })
  const closed = nextEvent(client, 'close')
  client.destroy()
  assert.deepEqual(await closed, [false])
  const before = Engine.last.calls.length
  answer(null, [LOCAL])
  assert.equal(Engine.last.calls.length, before)
})

test('a connect that fails at once is reported in a later tick', async () => {
  new MuxClient(1, '127.0.0.1')
  const fake = Engine.last
  const { next } = fake
  fake.next = -99
  const client = new MuxClient(1, '127.0.0.1')
  fake.next = next
  const [error] = await nextEvent(client, 'error')
  assert.deepEqual([error.code, error.address, error.port], ['EADDRNOTAVAIL', '127.0.0.1', 1])
})

test('connection and pool are one and the same before and after the connect', () => {
  const { client, con } = connected()
  assert.equal(client.connection, con)
  assert.equal(client.StreamPool, con.StreamPool)
})

test('streams are announced on the connection and on the client, and wait where nobody listens', async () => {
  const { client, con, fake, number } = connected()
  const heard = []
  const announce = (handle) => {
    fake.push(kind.STREAM, number, handle, '1', handle)
    fake.wake()
  }
  announce(1)
  assert.equal(con.stats().discardedStreams, 0)
  con.on('stream', () => heard.push('connection'))
  assert.deepEqual(heard, [])
  announce(3)
  client.on('stream', () => heard.push('client'))
  announce(5)
  assert.deepEqual(heard, [])
  await turn()
  assert.deepEqual(heard, ['connection', 'client', 'connection', 'client', 'connection', 'client'])
  assert.equal(con.stats().discardedStreams, 0)
  assert.equal(fake.take(op.ACCEPT).length, 3)
})

test('a signal destroys the client with an AbortError', async () => {
  const controller = new AbortController()
  const { client } = connected({ signal: controller.signal })
  const failed = nextEvent(client, 'error')
  controller.abort()
  assert.equal((await failed)[0].name, 'AbortError')
  const late = new MuxClient({ port: 1, host: '127.0.0.1', signal: controller.signal })
  const closed = nextEvent(late, 'close')
  assert.equal((await nextEvent(late, 'error'))[0].code, 'ABORT_ERR')
  assert.deepEqual(await closed, [true])
})

test('a client that connected lets its signal go at the close', async () => {
  const { signal } = new AbortController()
  let listening = 0
  signal.addEventListener = () => listening++
  signal.removeEventListener = () => listening--
  const client = new MuxClient({ port: 1, host: '127.0.0.1', signal })
  assert.equal(listening, 1)
  const fake = Engine.last
  const number = fake.next++
  fake.push(kind.CONNECTED, number, 0, ADDRESSES)
  fake.push(kind.CONN_CLOSE, number, 0, '{}')
  fake.wake()
  await nextEvent(client, 'close')
  assert.equal(listening, 0)
})
