'use strict'

// verifyConnection: who decides when and how, and what becomes of both ends.

const test = require('node:test')
const { deepEqual, equal, ok } = require('node:assert/strict')
const net = require('node:net')
const { startServer, openClient, MuxClient, temporaryFolder } = require('./support/mux.js')
const { cleanup } = require('./support/cleanup.js')
const { collectBytes, eventually, nextEvent, pause, settled, within } = require('./support/events.js')

const TIMEOUT = 200

// Each way of a program to answer, by what it answers.
const after = (value) => new Promise((resolve) => setTimeout(resolve, 20, value))
const boom = new Error('no such user')
const WAYS = {
  'a boolean': { allow: () => true, deny: () => false },
  'a promise': { allow: () => after(true), deny: () => after(false), never: () => new Promise(() => {}) },
  'an async function': { allow: async () => true, deny: async () => false },
  'a callback at once': { allow: (info, done) => done(true), deny: (info, done) => done(false) },
  'a callback later': {
    allow: (info, done) => { setTimeout(done, 20, true) },
    deny: (info, done) => { setTimeout(done, 20, false) },
    never: (info, done) => {}
  },
  'an exception': { fail: () => { throw boom } },
  'a rejection': { fail: () => after().then(() => { throw boom }) },
  'a thenable that throws': { fail: () => ({ then: () => { throw boom } }) },
  'no answer': { deny: (info) => {} },
  'a value that is not true': { deny: () => 1 },
  'a promise of a value that is not true': { deny: () => after('yes') }
}
const CODES = { deny: 'ERR_MUX_REFUSED', fail: 'ERR_MUX_REFUSED', never: 'ERR_MUX_VERIFY_TIMEOUT' }

function knock (t, server, options) {
  const client = new MuxClient({ port: server.address().port, host: '127.0.0.1', ...options })
  const errors = []
  client.on('error', (error) => errors.push(error))
  cleanup(t, () => client.destroy())
  return { client, errors, closed: nextEvent(client, 'close') }
}

for (const protocol of ['legacy', 'auto', 'qmux']) {
  for (const [how, ways] of Object.entries(WAYS)) {
    for (const [what, verifyConnection] of Object.entries(ways)) {
      test(`${protocol}: ${how} (${what})`, async (t) => {
        const seen = []
        const server = await startServer(t, {
          protocol, verifyConnection, handshakeTimeout: what === 'never' ? TIMEOUT : 10_000
        })
        server.on('connection', (con) => seen.push(con)).on('connectionError', (error) => { throw error })
        const drops = []
        server.on('drop', (...args) => drops.push(args))
        const { client, errors, closed } = knock(t, server, { protocol })
        // What comes before the verdict waits for it.
        client.StreamPool.createStream({ early: true }, (stream) => stream.end())
        const stream = client.StreamPool.createStream({ early: 2 }).catch(() => {})
        if (what === 'allow') {
          await eventually(() => seen.length === 1, 'the connection is let in')
          const [first] = await nextEvent(seen[0], 'stream')
          deepEqual(first.meta, { early: true })
          await stream
          deepEqual([drops, errors], [[], []])
          return
        }
        await closed
        await eventually(() => server._connections.size === 0, 'the place is free')
        deepEqual([seen, drops.length], [[], 1])
        const [[data, error]] = drops
        deepEqual([data.remoteAddress, data.localPort, data.remoteFamily], ['127.0.0.1', server.address().port, 'IPv4'])
        deepEqual([error.code, error.cause], [CODES[what], what === 'fail' ? boom : undefined])
        // The legacy wire cannot tell why.
        if (protocol === 'legacy') return
        deepEqual(errors.map(({ code, closeCode, application, closeReason }) => [code, closeCode, application, closeReason]),
          [['ERR_MUX_CLOSED_BY_PEER', 2, false, 'the server refused the connection']])
      })
    }
  }
}

test('the program is told the addresses, and that nothing is encrypted', async (t) => {
  const path = `${temporaryFolder(t)}/a.sock`
  for (const place of [{}, { path }]) {
    const infos = []
    const server = await startServer(t, { ...place, verifyConnection (info) { infos.push([info, this]); return true } })
    const accepted = nextEvent(server, 'connection')
    await (place.path ? openClient(t, server, place) : openClient(t, server))
    const [con] = await accepted
    const { remoteAddress, remotePort, remoteFamily, localAddress, localPort, localFamily } = con
    equal(infos[0][1], server)
    deepEqual(infos[0][0],
      { remoteAddress, remotePort, remoteFamily, localAddress, localPort, localFamily, encrypted: false })
    equal(remoteAddress, place.path ? undefined : '127.0.0.1')
  }
})

test('the program may say why, with a code of its own', async (t) => {
  const server = await startServer(t, { protocol: 'auto', verifyConnection: (info, done) => { done(false, 403, 'not you') } })
  const { errors, closed } = knock(t, server, { protocol: 'auto' })
  await closed
  deepEqual(errors.map(({ closeCode, application, closeReason }) => [closeCode, application, closeReason]),
    [[403, true, 'not you']])
})

test('a code that no wire can carry is an error of the program\'s, and refuses', async (t) => {
  for (const [code, reason] of [[-1], [1, 'x'.repeat(1025)], [1, 5]]) {
    const server = await startServer(t, { verifyConnection: (info, done) => { done(false, code, reason) } })
    const dropped = nextEvent(server, 'drop')
    await knock(t, server).closed
    const [, error] = await dropped
    deepEqual([error.code, error.cause.code], ['ERR_MUX_REFUSED', 'ERR_MUX_INVALID_ARG'])
  }
})

test('only the first answer counts, and one that comes too late does not', async (t) => {
  const dones = []
  const server = await startServer(t, { handshakeTimeout: TIMEOUT, verifyConnection: (info, done) => { dones.push(done) } })
  let accepted = 0
  let drops = 0
  server.on('connection', () => accepted++).on('drop', () => drops++)
  const late = knock(t, server)
  await late.closed
  dones[0](true)
  await openClient(t, server)
  await eventually(() => dones.length === 2, 'the second is asked about')
  dones[1](true)
  dones[1](false)
  await eventually(() => accepted === 1, 'the second is let in')
  await pause(TIMEOUT * 2)
  deepEqual([accepted, drops], [1, 1])
})

test('with handshakeTimeout 0 an answer may take any time', async (t) => {
  for (const handshakeTimeout of [0, 1e6]) {
    let answer
    const server = await startServer(t, { handshakeTimeout, verifyConnection: (info, done) => { answer = done } })
    const accepted = nextEvent(server, 'connection')
    knock(t, server)
    await eventually(() => answer !== undefined, 'the program is asked')
    const [candidate] = server._connections
    equal(candidate._timer === undefined, handshakeTimeout === 0)
    answer(true)
    await accepted
  }
})

test('nothing is read before the verdict, and a peer that goes on sending is stopped by the kernel', async (t) => {
  let answer
  const server = await startServer(t, { verifyConnection: (info, done) => { answer = done } })
  const events = []
  for (const name of ['connection', 'connectionError']) server.on(name, () => events.push(name))
  const socket = net.connect(server.address().port, '127.0.0.1').on('error', () => {})
  cleanup(t, () => socket.destroy())
  // TLS, which a connection that were read would be closed for.
  const hello = Buffer.concat([Buffer.from('160301020001', 'hex'), Buffer.alloc(1 << 20)])
  let taken = 0
  const write = () => socket.write(hello, (error) => { if (!error) { taken += hello.length; write() } })
  write()
  const most = await settled(() => taken)
  ok(most < 64 << 20, `${most} bytes`)
  deepEqual([events, socket.destroyed], [[], false])
  const failed = nextEvent(server, 'connectionError')
  answer(true)
  const [error] = await failed
  equal(error.code, 'ERR_MUX_WRONG_PROTOCOL')
  deepEqual(events, ['connection', 'connectionError'])
})

test('a peer that leaves while it is verified is forgotten without a word', async (t) => {
  for (const leave of ['reset', 'fin']) {
    const answers = []
    const server = await startServer(t, { verifyConnection: (info, done) => { answers.push(done) } })
    const events = []
    for (const name of ['connection', 'drop', 'connectionError']) server.on(name, () => events.push(name))
    const socket = net.connect(server.address().port, '127.0.0.1')
    await eventually(() => answers.length === 1, 'the program is asked')
    if (leave === 'reset') {
      socket.resetAndDestroy()
      await eventually(() => server._connections.size === 0, 'the place is free')
      answers[0](true)
      answers[0](false)
      await pause(50)
      deepEqual(events, [])
    } else {
      // A FIN is no farewell: the connection comes, and ends at once.
      socket.end()
      await pause(50)
      const accepted = nextEvent(server, 'connection')
      answers[0](true)
      const [con] = await accepted
      await nextEvent(con, 'close')
      deepEqual(events, ['connection'])
    }
  }
})

test('500 at once: each is asked about, and each gets its own answer', async (t) => {
  const COUNT = 500
  const waiting = []
  const server = await startServer(t, { verifyConnection: (info, done) => { waiting.push([info, done]) } })
  const [accepted, drops] = [[], []]
  server.on('connection', (con) => accepted.push(con)).on('drop', ({ remotePort }) => drops.push(remotePort))
  const sockets = Array.from({ length: COUNT }, () => net.connect(server.address().port, '127.0.0.1').on('error', () => {}))
  cleanup(t, () => sockets.forEach((socket) => socket.destroy()))
  await eventually(() => waiting.length === COUNT, 'all are asked about')
  equal(server._connections.size, COUNT)
  const expected = { in: [], out: [] }
  let left = 0
  waiting.sort(() => Math.random() - 0.5).forEach(([{ remotePort }, done], index) => {
    if (index % 3 === 0) {
      sockets.find((socket) => socket.localPort === remotePort).resetAndDestroy()
      left++
    } else {
      done(index % 3 === 1)
      expected[index % 3 === 1 ? 'in' : 'out'].push(remotePort)
    }
  })
  await eventually(() => accepted.length === expected.in.length && drops.length === expected.out.length, 'all are answered')
  await eventually(() => server._connections.size === accepted.length, 'those who left are forgotten')
  const sorted = (list) => list.sort((a, b) => a - b)
  deepEqual(sorted(accepted.map((con) => con.remotePort)), sorted(expected.in))
  deepEqual(sorted(drops), sorted(expected.out))
  equal(left + accepted.length + drops.length, COUNT)
})

test('whoever is verified has a place', async (t) => {
  const dones = []
  const server = await startServer(t, {
    maxConnections: 2, maxConnectionsPerAddress: 1, verifyConnection: (info, done) => { dones.push(done) }
  })
  const drops = []
  server.on('drop', (_, { code }) => drops.push(code))
  knock(t, server)
  await eventually(() => dones.length === 1, 'the first is asked about')
  await knock(t, server).closed
  knock(t, server, { localAddress: '127.0.0.2' })
  await eventually(() => dones.length === 2, 'the second is asked about')
  await knock(t, server, { localAddress: '127.0.0.3' }).closed
  deepEqual(drops, ['ERR_MUX_MAX_CONNECTIONS_PER_ADDRESS', 'ERR_MUX_MAX_CONNECTIONS'])
  dones[0](false)
  knock(t, server)
  await eventually(() => dones.length === 3, 'the place is free at once')
  const count = await new Promise((resolve) => server.getConnections((_, number) => resolve(number)))
  equal(count, 2)
})

test('close() and closeAllConnections() end what is verified', async (t) => {
  for (const name of ['close', 'closeAllConnections']) {
    const dones = []
    const server = await startServer(t, { verifyConnection: (info, done) => { dones.push(done) } })
    for (const event of ['connection', 'drop', 'connectionError']) server.on(event, () => { throw new Error(event) })
    const { closed } = knock(t, server)
    await eventually(() => dones.length === 1, 'the program is asked')
    const over = name === 'close' ? nextEvent(server, 'close') : Promise.resolve()
    server[name]()
    await closed
    await over
    dones[0](true)
    await eventually(() => server._connections.size === 0, 'the place is free')
  }
})

test('a drop listener that throws leaves nothing behind', async (t) => {
  const thrown = new Promise((resolve) => {
    const before = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.once('uncaughtException', (error) => {
      for (const each of before) process.on('uncaughtException', each)
      resolve(error)
    })
  })
  const server = await startServer(t, { verifyConnection: async () => false })
  server.on('drop', () => { throw new Error('of the listener') })
  await knock(t, server).closed
  equal((await within(thrown, 'the exception')).message, 'of the listener')
  await eventually(() => server._connections.size === 0, 'the place is free')
})

test('streams and bytes of the first flight arrive whole', async (t) => {
  const server = await startServer(t, { verifyConnection: () => after(true) })
  const accepted = nextEvent(server, 'connection')
  const { client } = knock(t, server)
  const bytes = Buffer.alloc(300_000, 'x')
  client.StreamPool.createStream('big', (stream) => stream.end(bytes))
  const [con] = await accepted
  const [stream] = await nextEvent(con, 'stream')
  const got = await collectBytes(stream)
  ok(got.length >= bytes.length)
})
