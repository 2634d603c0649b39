'use strict'

// Every stream whose connection ends closes: a table of all that a stream can be by then, on both wires, created by either
// end, seen from either end, by each way a connection ends; and beside it what a pair of sockets does where Node says what
// is right.

const test = require('node:test')
const assert = require('node:assert/strict')
const net = require('node:net')
const { finished } = require('node:stream')
const { connectPair, openPair } = require('../support/mux.js')
const { nextEvent, within, turn, eventually } = require('../support/events.js')

const PROTOCOLS = ['auto', 'legacy']

// What became of the stream before. `near` is the end that is looked at, `far` the other.
const SHAPES = {
  'nothing happened': () => {},
  'it wrote': ({ near }) => { near.write(Buffer.from('x')) },
  'the other end wrote, and it does not read': ({ far }) => { far.write(Buffer.from('x')) },
  'the other end wrote, and it reads': ({ near, far }) => {
    near.resume()
    far.write(Buffer.from('x'))
  },
  'it is paused and has something to read': ({ near, far }) => {
    near.pause()
    far.write(Buffer.from('x'))
  },
  'it ended': ({ near }) => { near.end() },
  'the other end ended, and it does not read': ({ far }) => { far.end() },
  'the other end ended, and it reads': ({ near, far }) => {
    near.resume()
    far.end()
  },
  'it answers behind the end of the other one': ({ near, far }) => {
    near.resume().on('end', () => setImmediate(() => { if (near.writable) near.write(Buffer.from('answer')) }))
    far.end()
  },
  'both ended': ({ near, far }) => {
    near.end()
    far.end()
  },
  'both wrote and ended, and read': ({ near, far }) => {
    for (const each of [near, far]) each.resume().end(Buffer.from('x'))
  },
  'the other end was destroyed': ({ far }) => { far.destroy() },
  'it wrote, and the other end was destroyed': ({ near, far }) => {
    near.write(Buffer.from('x'))
    far.resume().destroy()
  },
  'the other end was destroyed with an error': ({ far }) => { far.on('error', () => {}).destroy(new Error('mine')) },
  'the other end stopped it': ({ far }) => { far.stopSending(0) },
  'the other end stopped it with a code': ({ far }) => { far.stopSending(7) },
  'it stopped the other end': ({ near }) => { near.stopSending(7) },
  'the other end reset it': ({ far }) => { far.reset(7) },
  'it reset': ({ near }) => { near.reset(7) }
}

// How the connection ends; `near` and `far` are its ends.
const ENDINGS = {
  'the other end destroys it': ({ far }) => { far.destroy() },
  'it is destroyed': ({ near }) => { near.destroy() },
  'the other end ends it': ({ far }) => { far.end() },
  'it ends it': ({ near }) => { near.end() },
  'the other end closes it with a code': ({ far }) => { far.close(7) },
  'it closes it with a code': ({ near }) => { near.close(7) },
  'the other end resets it': ({ far }) => { far.resetAndDestroy() },
  'it is destroyed with an error': ({ near }) => { near.destroy(new Error('mine')) }
}

// Streams that have something to be read keep it for their reader: the wait is his, as it is with a socket.
const KEPT = new Set(['it is paused and has something to read'])

async function check (t, protocol, allowHalfOpen, creator, looked, shape, ending) {
  const options = { protocol, allowHalfOpen, peer: protocol === 'legacy' ? 'new' : 'auto' }
  const { con, client } = await connectPair(t, { server: options, client: options })
  if (protocol === 'auto') await client.connection.ping()
  for (const each of [client, con]) each.on('error', () => {})
  const [from, to] = creator === 'client' ? [client, con] : [con, client]
  const pair = await openPair(from, to)
  const [near, far] = looked === 'creator' ? [pair.creator, pair.acceptor] : [pair.acceptor, pair.creator]
  far.on('error', () => {})
  const closes = []
  let hasClosed = false
  closes.push(new Promise((resolve) => near.on('close', () => {
    hasClosed = true
    resolve()
  })))
  closes.push(new Promise((resolve) => finished(near, () => resolve())))
  try {
    SHAPES[shape]({ near, far })
  } catch (error) {
    // The legacy wire has one direction.
    if (error.code !== 'ERR_MUX_NOT_WRITABLE') throw error
  }
  for (let count = 0; count < 3; count++) await turn()
  const nearIsClient = (creator === 'client') === (looked === 'creator')
  const sides = nearIsClient ? { near: client.connection, far: con } : { near: con, far: client.connection }
  const over = nextEvent(sides.near, 'close')
  ENDINGS[ending](sides)
  // A half-open connection is ended by both.
  if (allowHalfOpen) sides.near.once('end', () => sides.near.end())
  if (allowHalfOpen) sides.far.once('end', () => sides.far.end())
  await over
  if (KEPT.has(shape) && !hasClosed) near.resume()
  await within(Promise.all(closes), `'close' and finished() of a stream: ${shape}; ${ending}`)
  assert.equal(near.destroyed, true)
}

for (const protocol of PROTOCOLS) {
  for (const allowHalfOpen of [false, true]) {
    for (const creator of ['client', 'server']) {
      test(`every stream of a ${creator}'s closes with its connection (${protocol}, allowHalfOpen ${allowHalfOpen})`, async (t) => {
        const cases = []
        for (const looked of ['creator', 'acceptor']) {
          for (const shape of Object.keys(SHAPES)) {
            for (const ending of Object.keys(ENDINGS)) cases.push([looked, shape, ending])
          }
        }
        // Some at a time: each has a server and a connection of its own.
        const next = async () => {
          for (let each = cases.pop(); each !== undefined; each = cases.pop()) {
            try {
              await check(t, protocol, allowHalfOpen, creator, ...each)
            } catch (cause) {
              throw new Error(each.join('; '), { cause })
            }
          }
        }
        await Promise.all(Array.from({ length: 8 }, next))
      })
    }
  }
}

// ---- beside sockets -----------------------------------------------------------------------------------------------

async function socketPair (t, allowHalfOpen) {
  const server = net.createServer({ allowHalfOpen }).listen(0, '127.0.0.1')
  await nextEvent(server, 'listening')
  const accepted = nextEvent(server, 'connection')
  const near = net.connect({ port: server.address().port, host: '127.0.0.1', allowHalfOpen })
  await nextEvent(near, 'connect')
  const [far] = await accepted
  t.after(() => {
    near.destroy()
    far.destroy()
    server.close()
  })
  return { near, far }
}

// Whether finished() reports success.
const outcome = (stream) => new Promise((resolve) => finished(stream, (error) => resolve(error ? 'error' : 'success')))

// What a stream and a socket have in common: their other end goes, or ends, in a state of theirs.
for (const [name, act] of Object.entries({
  'is destroyed while this one writes': async ({ near, far }) => {
    near.write(Buffer.from('x'))
    await nextEvent(far.resume(), 'data').catch(() => {})
    far.destroy()
    for (let count = 0; count < 100 && !near.destroyed; count++) {
      near.write(Buffer.from('y'))
      await turn()
    }
  },
  'ends, and this one ends': async ({ near, far }) => {
    near.resume()
    far.resume().end()
    near.end()
  },
  'is destroyed with an error, and this one reads': async ({ near, far }) => {
    near.resume()
    far.write(Buffer.from('x'))
    await nextEvent(near, 'data')
    if (far.resetAndDestroy) far.resetAndDestroy()
    else far.destroy(new Error('mine'))
  }
})) {
  test(`finished() tells of a stream whose other end ${name} what it tells of a socket`, async (t) => {
    const sockets = await socketPair(t, false)
    const { con, client } = await connectPair(t)
    await client.connection.ping()
    const { creator, acceptor } = await openPair(client, con)
    const seen = []
    for (const pair of [sockets, { near: creator, far: acceptor }]) {
      for (const each of [pair.near, pair.far]) each.on('error', () => {})
      const done = outcome(pair.near)
      await act(pair)
      seen.push(await within(done, 'finished()'))
    }
    assert.equal(seen[1], seen[0])
  })
}

test('a push server keeps no subscriber whose connection has gone', async (t) => {
  const { con, client } = await connectPair(t)
  const subscribers = new Set()
  await client.connection.ping()
  for (let topic = 0; topic < 30; topic++) {
    const { creator, acceptor } = await openPair(con, client, topic)
    subscribers.add(creator)
    creator.on('close', () => subscribers.delete(creator))
    creator.write(Buffer.from('news'))
    acceptor.resume()
    if (topic % 3 === 1) acceptor.destroy()
    if (topic % 3 === 2) acceptor.end()
  }
  client.destroy()
  await eventually(() => subscribers.size === 0, 'every subscriber to go')
})
