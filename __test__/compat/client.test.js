'use strict'

// COMPAT.md, "Public surface": MuxClient, its connection and its StreamPool before and after the connect.

const test = require('node:test')
const assert = require('node:assert/strict')
const dns = require('node:dns')
const os = require('node:os')
const util = require('node:util')
const { EventEmitter } = require('node:events')
const { MuxClient, watchClient, startServer, openClient, connectPair, freePort } = require('../support/mux.js')
const { nextEvent, within, events } = require('../support/events.js')
const { listenWire } = require('../support/wire.js')
const { run } = require('../support/child.js')

const ECONNREFUSED = -os.constants.errno.ECONNREFUSED

test('new MuxClient(port, cb) connects to localhost and calls back without arguments', async (t) => {
  const server = await startServer(t, { host: 'localhost' })
  const args = await within(new Promise((resolve) => {
    const client = new MuxClient(server.address().port, function (...args) {
      watchClient(t, client)
      resolve(args)
    })
  }), 'the callback')
  assert.deepEqual(args, [])
})

test('new MuxClient(port, ip, cb) connects to that address', async (t) => {
  const server = await startServer(t)
  const client = await within(new Promise((resolve) => {
    const client = new MuxClient(server.address().port, '127.0.0.1', () => resolve(client))
  }), 'the callback')
  await watchClient(t, client)
  assert.equal(client.connection.remoteAddress, '127.0.0.1')
})

test('new MuxClient({ port, host }, cb) takes an options object', async (t) => {
  const server = await startServer(t)
  const client = await within(new Promise((resolve) => {
    const client = new MuxClient({ port: server.address().port, host: '127.0.0.1' }, () => resolve(client))
  }), 'the callback')
  await watchClient(t, client)
  assert.ok(client instanceof EventEmitter)
})

test('a client without a callback connects and emits connect', async (t) => {
  const server = await startServer(t)
  const client = new MuxClient(server.address().port, '127.0.0.1')
  const args = await nextEvent(client, 'connect')
  await watchClient(t, client)
  assert.deepEqual(args, [])
})

test('client.connection is undefined before the connect, then the connection', async (t) => {
  const server = await startServer(t)
  const client = new MuxClient(server.address().port, '127.0.0.1')
  assert.equal(client.connection, undefined)
  await nextEvent(client, 'connect')
  await watchClient(t, client)
  assert.ok(client.connection instanceof EventEmitter)
  assert.equal(client.connection.remotePort, server.address().port)
})

test('client.connection stands when the callback runs', async (t) => {
  const server = await startServer(t)
  const connection = await within(new Promise((resolve) => {
    const client = new MuxClient(server.address().port, '127.0.0.1', () => {
      watchClient(t, client)
      resolve(client.connection)
    })
  }), 'the callback')
  assert.equal(connection.remotePort, server.address().port)
})

test('StreamPool exists from construction and queues what is opened before the connect, in order', async (t) => {
  const server = await startServer(t)
  const announced = new Promise((resolve) => {
    const metas = []
    server.on('connection', (con) => con.on('stream', (stream) => {
      metas.push(stream.meta)
      if (metas.length === 10) resolve(metas)
    }))
  })
  const client = new MuxClient(server.address().port, '127.0.0.1')
  assert.equal(typeof client.StreamPool.createStream, 'function')
  const opened = []
  for (let index = 0; index < 10; index++) {
    const returned = client.StreamPool.createStream(index, (stream) => opened.push(stream.meta))
    assert.equal(returned, undefined)
  }
  await nextEvent(client, 'connect')
  await watchClient(t, client)
  assert.deepEqual(await within(announced, 'ten streams'), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  // One more acknowledged behind them: by then all ten callbacks have run.
  await client.StreamPool.createStream('last')
  assert.deepEqual(opened, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
})

test('a Promise of createStream made before the connect resolves after it', async (t) => {
  const server = await startServer(t)
  server.on('connection', (con) => con.on('stream', () => {}))
  const client = new MuxClient(server.address().port, '127.0.0.1')
  const opening = client.StreamPool.createStream({ early: true })
  const stream = await within(opening, 'the stream')
  await watchClient(t, client)
  assert.deepEqual(stream.meta, { early: true })
})

test('a refused connection is an error event with the fields of a Node system error', async () => {
  const port = await freePort()
  const client = new MuxClient(port, '127.0.0.1', () => assert.fail('connected to nobody'))
  const closed = nextEvent(client, 'close')
  const [error] = await nextEvent(client, 'error')
  assert.ok(error instanceof Error)
  assert.equal(error.code, 'ECONNREFUSED')
  assert.equal(error.errno, ECONNREFUSED)
  assert.equal(error.syscall, 'connect')
  assert.equal(error.address, '127.0.0.1')
  assert.equal(error.port, port)
  assert.deepEqual(await closed, [true])
})

test('a path nobody listens on is ENOENT', async () => {
  const [error] = await nextEvent(new MuxClient('/nowhere/at-all.sock'), 'error')
  assert.equal(error.code, 'ENOENT')
  assert.equal(error.syscall, 'connect')
  assert.equal(error.address, '/nowhere/at-all.sock')
})

const twoAddresses = (hostname, options, callback) => {
  const addresses = [{ address: '127.0.0.1', family: 4 }, { address: '127.0.0.2', family: 4 }]
  if (options.all) callback(null, addresses)
  else callback(null, addresses[0].address, addresses[0].family)
}

test('several addresses that all fail are an AggregateError, as in net', async () => {
  const port = await freePort()
  const client = new MuxClient({ port, host: 'two.example', lookup: twoAddresses, autoSelectFamily: true })
  const [error] = await nextEvent(client, 'error')
  assert.equal(error.constructor.name, 'AggregateError')
  assert.equal(error.code, 'ECONNREFUSED')
  assert.deepEqual(error.errors.map(({ code, address, port, syscall }) => ({ code, address, port, syscall })), [
    { code: 'ECONNREFUSED', address: '127.0.0.1', port, syscall: 'connect' },
    { code: 'ECONNREFUSED', address: '127.0.0.2', port, syscall: 'connect' }
  ])
})

test('the second address is tried when the first one refuses', async (t) => {
  const server = await startServer(t, { host: '127.0.0.2' })
  const client = await watchClient(t, new MuxClient({
    port: server.address().port, host: 'two.example', lookup: twoAddresses, autoSelectFamily: true
  }))
  assert.equal(client.connection.remoteAddress, '127.0.0.2')
})

test('a look-up that fails is the client\'s error event', async () => {
  const failure = Object.assign(new Error('queryA ENOTFOUND no.example'), { code: 'ENOTFOUND', hostname: 'no.example' })
  const client = new MuxClient({ port: 1, host: 'no.example', lookup: (name, options, callback) => callback(failure) })
  const closed = nextEvent(client, 'close')
  const [error] = await nextEvent(client, 'error')
  assert.equal(error.code, 'ENOTFOUND')
  assert.deepEqual(await closed, [true])
})

test('lookup, family and hints reach the look-up', async (t) => {
  const server = await startServer(t)
  let asked
  await watchClient(t, new MuxClient({
    port: server.address().port,
    host: 'some.example',
    family: 4,
    hints: dns.ADDRCONFIG,
    lookup (hostname, options, callback) {
      asked = { hostname, family: options.family, hints: options.hints }
      if (options.all) callback(null, [{ address: '127.0.0.1', family: 4 }])
      else callback(null, '127.0.0.1', 4)
    }
  }))
  assert.deepEqual(asked, { hostname: 'some.example', family: 4, hints: dns.ADDRCONFIG })
})

test('localAddress and localPort choose the client\'s end', async (t) => {
  const server = await startServer(t, { host: '0.0.0.0' })
  const localPort = await freePort()
  const accepted = nextEvent(server, 'connection')
  await watchClient(t, new MuxClient({
    port: server.address().port, host: '127.0.0.1', localAddress: '127.0.0.3', localPort
  }))
  const [con] = await accepted
  assert.equal(con.remoteAddress, '127.0.0.3')
  assert.equal(con.remotePort, localPort)
})

test('a client that nobody listens to for errors throws them, as before', async (t) => {
  const child = run(t, 'process-life.js', ['refused', await freePort()])
  const { code, stderr } = await child.exit()
  assert.notEqual(code, 0)
  assert.match(stderr, /ECONNREFUSED/)
})

test('a lost connection that nobody listens to for errors is thrown by the client too', async (t) => {
  const wire = await listenWire(t)
  const child = run(t, 'process-life.js', ['lost', wire.port])
  const peer = await wire.next()
  await child.line()
  peer.reset()
  const { code, stderr } = await child.exit()
  assert.notEqual(code, 0)
  assert.match(stderr, /ECONNRESET/)
})

test('a lost connection is error, then close(true), for a client that listens', async (t) => {
  const wire = await listenWire(t)
  const client = await watchClient(t, new MuxClient(wire.port, '127.0.0.1'))
  const order = []
  client.on('error', (error) => order.push(error.code))
  client.on('close', (hadError) => order.push(hadError))
  const closed = nextEvent(client, 'close')
  const peer = await wire.next()
  peer.reset()
  await closed
  assert.deepEqual(order, ['ECONNRESET', true])
})

test('end() closes the client without an error', async (t) => {
  const { con, client } = await connectPair(t)
  const both = Promise.all([nextEvent(client, 'close'), nextEvent(con, 'end'), nextEvent(con, 'close')])
  client.end()
  assert.deepEqual(await both, [[false], [], [false]])
})

test('destroy(error) emits that error and close(true)', async (t) => {
  const { client } = await connectPair(t)
  const failed = nextEvent(client, 'error')
  const closed = nextEvent(client, 'close')
  const reason = new Error('enough')
  client.destroy(reason)
  assert.equal((await failed)[0], reason)
  assert.deepEqual(await closed, [true])
})

test('destroy() before the connect gives up without an error', async (t) => {
  const server = await startServer(t)
  const client = new MuxClient(server.address().port, '127.0.0.1', () => assert.fail('it connected all the same'))
  const opening = client.StreamPool.createStream('never')
  const closed = nextEvent(client, 'close')
  client.destroy()
  assert.deepEqual(await closed, [false])
  await assert.rejects(within(opening, 'the Promise to reject'), { code: 'ERR_MUX_CONNECTION_CLOSED' })
})

test('an AbortSignal ends the connect', async (t) => {
  const wire = await listenWire(t)
  const controller = new AbortController()
  const client = new MuxClient({ port: wire.port, host: '127.0.0.1', signal: controller.signal })
  const failed = nextEvent(client, 'error')
  const closed = nextEvent(client, 'close')
  controller.abort()
  assert.equal((await failed)[0].name, 'AbortError')
  await closed
})

test('ref() and unref() give back the client', async (t) => {
  const { client } = await connectPair(t)
  assert.equal(client.unref(), client)
  assert.equal(client.ref(), client)
})

test('util.inherits and MuxClient.call(this, port, cb) build a client', async (t) => {
  const server = await startServer(t, { host: 'localhost' })
  function MyClient (port, done) {
    MuxClient.call(this, port, done)
  }
  util.inherits(MyClient, MuxClient)
  const client = await within(new Promise((resolve) => {
    const client = new MyClient(server.address().port, () => resolve(client))
  }), 'the callback')
  await watchClient(t, client)
  assert.ok(client instanceof MyClient)
  assert.ok(client instanceof MuxClient)
  assert.ok(client instanceof EventEmitter)
})

test('class extends MuxClient builds a client', async (t) => {
  const server = await startServer(t)
  class MyClient extends MuxClient {
    constructor (port) {
      super(port, '127.0.0.1')
      this.seen = 0
      this.on('stream', () => this.seen++)
    }
  }
  const accepted = nextEvent(server, 'connection')
  const client = await watchClient(t, new MyClient(server.address().port))
  const [con] = await accepted
  await con.StreamPool.createStream(1)
  assert.equal(client.seen, 1)
  assert.ok(client instanceof MyClient)
})

test('a stream opened by the server is emitted on the client and on client.connection', async (t) => {
  const { con, client } = await connectPair(t)
  const onClient = nextEvent(client, 'stream')
  const onConnection = nextEvent(client.connection, 'stream')
  await con.StreamPool.createStream({ to: 'both' })
  const [first] = await onClient
  const [second] = await onConnection
  assert.equal(first, second)
  assert.deepEqual(first.meta, { to: 'both' })
})

test('a stream opened by the client is emitted on the server\'s connection', async (t) => {
  const { con, client } = await connectPair(t)
  const announced = nextEvent(con, 'stream')
  await client.StreamPool.createStream({ to: 'server' })
  const args = await announced
  assert.equal(args.length, 1)
  assert.deepEqual(args[0].meta, { to: 'server' })
})

test('both ends may create streams on one connection at the same time', async (t) => {
  const { con, client } = await connectPair(t)
  const seen = { con: [], client: [] }
  con.on('stream', (stream) => seen.con.push(stream.meta))
  client.on('stream', (stream) => seen.client.push(stream.meta))
  const order = Array.from({ length: 50 }, (_, index) => index)
  await within(Promise.all(order.flatMap((index) => [
    con.StreamPool.createStream(index),
    client.StreamPool.createStream(index)
  ])), 'a hundred streams')
  assert.deepEqual(seen, { con: order, client: order })
})

test('a client that is gone makes place for the next one', async (t) => {
  const server = await startServer(t)
  for (let round = 0; round < 20; round++) {
    const accepted = nextEvent(server, 'connection')
    const client = await openClient(t, server)
    const [con] = await accepted
    const streams = events(con, 'stream', 2)
    await Promise.all([client.StreamPool.createStream(round), client.StreamPool.createStream(round)])
    assert.deepEqual((await streams).map(([stream]) => stream.meta), [round, round])
    const closed = nextEvent(con, 'close')
    client.end()
    await closed
  }
})

test('every option of the connection is accepted, on both sides', async (t) => {
  const options = {
    noDelay: false,
    keepAlive: true,
    keepAliveInitialDelay: 1000,
    allowHalfOpen: true,
    protocol: 'auto',
    peer: 'new',
    readableHighWaterMark: 1,
    writableHighWaterMark: 1,
    unclaimedLimit: 100,
    maxMetaSize: 1000,
    maxEndValueSize: 1000,
    maxJsonDepth: 5
  }
  const { con, client } = await connectPair(t, {
    server: { ...options, backlog: 5, ipv6Only: false, maxConnections: 10 },
    client: { ...options, family: 4, autoSelectFamily: false, autoSelectFamilyAttemptTimeout: 500 }
  })
  const announced = nextEvent(con, 'stream')
  const creator = await within(client.StreamPool.createStream({ a: 1 }), 'the stream')
  const [acceptor] = await announced
  const arrived = nextEvent(acceptor, 'data')
  assert.equal(creator.write(Buffer.from('hi')), false, 'the mark of one byte is reached')
  assert.equal(String((await arrived)[0]), 'hi')
})
