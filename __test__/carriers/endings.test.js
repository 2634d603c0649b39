'use strict'

// How a connection over a carrier ends: each way, on both wires, seen from both ends and in both roles, beside the same over
// TCP. And how a carrier ends by itself.

const test = require('node:test')
const assert = require('node:assert/strict')
const net = require('node:net')
const { carry, duplexPair } = require('../support/carried.js')
const { cleanup } = require('../support/cleanup.js')
const { connectPair, openPair, MuxServer, MuxClient } = require('../support/mux.js')
const { eventually, nextEvent, turn, within } = require('../support/events.js')

const WIRES = { qmux: { protocol: 'qmux' }, legacy: { protocol: 'legacy', peer: 'new' } }

const ENDINGS = {
  'it ends': (one) => one.end(),
  'it is destroyed': (one) => one.destroy(),
  'it is destroyed with an error': (one) => one.destroy(new Error('mine')),
  'it closes with a code': (one) => one.close(7, 'enough'),
  'it is reset': (one) => one.resetAndDestroy(),
  'it writes and ends': (one) => {
    one.StreamPool.createStream({}, (stream) => stream.end(Buffer.alloc(300_000)))
    one.end()
  }
}

// Two ends of a stream through the kernel.
async function socketPair (t) {
  const listener = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  cleanup(t, () => listener.close())
  await nextEvent(listener, 'listening')
  const near = net.connect(listener.address().port, '127.0.0.1')
  const [far] = await nextEvent(listener, 'connection')
  return [near, far]
}

const TRANSPORTS = {
  tcp: (t, wire) => connectPair(t, { server: WIRES[wire], client: WIRES[wire] }),
  'a pair in memory': (t, wire) => carry(t, duplexPair(), { server: WIRES[wire], client: WIRES[wire] }),
  sockets: async (t, wire) => carry(t, await socketPair(t), { server: WIRES[wire], client: WIRES[wire] })
}

// What an end tells of its end.
function watch (one) {
  const told = []
  one.on('end', () => told.push('end'))
  one.on('error', (error) => told.push(`error ${error.code ?? error.message} ${error.closeCode ?? ''}`))
  const closed = new Promise((resolve) => one.on('close', (hadError) => {
    told.push(`close ${hadError}`)
    resolve()
  }))
  return { told, closed }
}

async function outcome (t, transport, wire, role, act) {
  const { con, client } = await TRANSPORTS[transport](t, wire)
  if (wire === 'qmux') await client.connection.ping()
  const ends = { client: client.connection, server: con }
  for (const one of Object.values(ends)) one.on('stream', (stream) => stream.resume().on('error', () => {}))
  const watched = { client: watch(ends.client), server: watch(con) }
  act(ends[role])
  await within(Promise.all([watched.client.closed, watched.server.closed]), 'both ends to close')
  return { client: watched.client.told, server: watched.server.told }
}

for (const wire of Object.keys(WIRES)) {
  for (const role of ['client', 'server']) {
    for (const [name, act] of Object.entries(ENDINGS)) {
      test(`${name}: the ${role}, on ${wire}, as over TCP`, async (t) => {
        const expected = await outcome(t, 'tcp', wire, role, act)
        for (const transport of ['a pair in memory', 'sockets']) {
          assert.deepEqual(await outcome(t, transport, wire, role, act), expected, transport)
        }
      })
    }
  }
}

// The ways in which the carrier of one end ends, and what the connection over it then tells.
const CARRIER_ENDS = {
  'it fails': [(carrier) => carrier.destroy(Object.assign(new Error('torn'), { code: 'ETORN' })), ['error ETORN ', 'close true']],
  'it is destroyed': [(carrier) => carrier.destroy(), ['error ECONNRESET ', 'close true']],
  'it delivers a string': [(carrier) => carrier.emit('data', 'text'), ['error ERR_MUX_CARRIER_CHUNK ', 'close true']],
  'it delivers an object': [(carrier) => carrier.emit('data', { a: 1 }), ['error ERR_MUX_CARRIER_CHUNK ', 'close true']],
  'it ends': [(carrier) => carrier.push(null), ['end', 'close false']],
  'it ends and closes': [(carrier) => {
    carrier.push(null)
    carrier.once('end', () => carrier.destroy())
  }, ['end', 'close false']]
}

for (const [name, [act, expected]] of Object.entries(CARRIER_ENDS)) {
  for (const role of ['client', 'server']) {
    test(`a carrier under a ${role}: ${name}`, async (t) => {
      const ends = duplexPair()
      const { con, client } = await carry(t, ends, { client: WIRES.qmux, server: WIRES.qmux })
      await client.connection.ping()
      for (const one of [client.connection, con]) one.on('error', () => {})
      const { told, closed } = watch(role === 'client' ? client.connection : con)
      act(ends[role === 'client' ? 0 : 1])
      await within(closed, 'the close')
      assert.deepEqual(told, expected)
      await eventually(() => ends.every((each) => each.destroyed), 'both ends of the carrier are destroyed')
    })
  }
}

test('the error of a carrier is the connection\'s, as the same object', async (t) => {
  const ends = duplexPair()
  const { client, con } = await carry(t, ends)
  con.on('error', () => {})
  const error = new Error('mine')
  ends[0].destroy(error)
  assert.equal((await nextEvent(client, 'error'))[0], error)
})

test('what is written after the carrier has ended and closed is EPIPE', async (t) => {
  const ends = duplexPair()
  const options = { ...WIRES.qmux, allowHalfOpen: true }
  const { client, con } = await carry(t, ends, { client: options, server: options })
  await client.connection.ping()
  con.on('error', () => {})
  ends[0].push(null)
  await nextEvent(client.connection, 'end')
  ends[0].destroy()
  await turn()
  client.connection.StreamPool.createStream({}, () => {})
  const [error] = await nextEvent(client, 'error')
  assert.deepEqual([error.code, error.syscall], ['EPIPE', 'write'])
})

test('a carrier that was destroyed before is an error of the connection', async (t) => {
  const [near, far] = duplexPair()
  near.on('error', () => {}).destroy(Object.assign(new Error('torn'), { code: 'ETORN' }))
  far.destroy()
  const client = new MuxClient({ socket: near })
  assert.equal((await nextEvent(client, 'error'))[0].code, 'ETORN')
  const server = new MuxServer({ noServer: true })
  const con = server.accept(far)
  con.on('error', () => {})
  await nextEvent(con, 'close')
  assert.ok(con.destroyed)
  await new Promise((resolve) => server.close(resolve))
})

test('a connection that is destroyed destroys its carrier, also before it began', async (t) => {
  for (const begin of [false, true]) {
    const ends = duplexPair()
    const client = new MuxClient({ socket: ends[0] })
    if (begin) await nextEvent(client, 'connect')
    client.destroy()
    await nextEvent(client, 'close')
    await eventually(() => ends[0].destroyed, 'the carrier is destroyed')
  }
})

test('the last bytes of a connection that ends leave although the other end reads late', async (t) => {
  const ends = duplexPair()
  const { client, con } = await carry(t, ends, { client: WIRES.qmux, server: WIRES.qmux })
  const { creator, acceptor } = await openPair(client, con)
  creator.end(Buffer.alloc(200_000, 1))
  client.end()
  let sum = 0
  acceptor.on('data', (data) => { sum += data.length })
  await nextEvent(con, 'close')
  assert.equal(sum, 200_000)
})
