'use strict'

// Peers that stall: what waits for them is theirs, and everybody else's streams, pings and connections go on.

const test = require('node:test')
const assert = require('node:assert/strict')
const { besiege, down, everywhere, frames: f, join, numbers, record, siege, up } = require('../support/qmux-wire.js')
const { connectPair, openPair } = require('../support/mux.js')
const { eventually, nextEvent, takeBytes, within } = require('../support/events.js')

const KIB = 1024
const one = up(0)
const QMUX = { server: { protocol: 'qmux' }, client: { protocol: 'qmux' } }

// Above what a loaded machine keeps a healthy neighbour from answering a ping.
const IDLE = { idleTimeout: 2000, pingInterval: 400 }

everywhere(test, 'a record that comes byte by byte does not keep a connection from idling out', async (t, route) => {
  const { open, fails, check } = await siege(t, { ...route, ...IDLE })
  const attacker = await open()
  attacker.wire.send(numbers(5000))
  const timer = setInterval(() => attacker.wire.send(f.padding()), 10)
  t.after(() => clearInterval(timer))
  await fails(attacker, 'ERR_MUX_IDLE_TIMEOUT')
  clearInterval(timer)
  await check()
})

test('nor do the pings that it leaves unanswered, nor bytes that it never reads', async (t) => {
  const { open, fails, check } = await siege(t, { protocol: 'auto', ...IDLE })
  const prepare = (con) => con.on('stream', (stream) => {
    stream.on('error', () => {}).resume()
    const fill = () => { while (stream.write(Buffer.alloc(64 * KIB))); }
    stream.on('drain', fill)
    fill()
  })
  const attacker = await open({ prepare })
  attacker.peer.send(f.open(one))
  attacker.wire.stopReading()
  const [hadError] = await within(attacker.closed, 'the end')
  assert.equal(hadError, true)
  attacker.wire.startReading()
  await fails(attacker, 'ERR_MUX_IDLE_TIMEOUT')
  await check()
})

test('the smaller idle timeout counts, and the peer may choose it', async (t) => {
  const { open, fails, check } = await siege(t, { protocol: 'auto' })
  await fails(await open({ parameters: { idleTimeout: 100 } }), 'ERR_MUX_IDLE_TIMEOUT')
  await check()
})

test('four paused streams do not use up the window of the connection', async (t) => {
  const { client, con } = await connectPair(t, QMUX)
  for (let n = 0; n < 8; n++) {
    const { creator, acceptor } = await openPair(client, con, n)
    acceptor.on('data', () => {}).pause()
    creator.write(Buffer.alloc(1024 * KIB))
    await eventually(() => acceptor.readableLength > 0, 'the first of it')
  }
  const { creator, acceptor } = await openPair(client, con, 'flows')
  creator.end(Buffer.alloc(4096 * KIB))
  await takeBytes(acceptor, 4096 * KIB)
})

test('streams that hold more than maxHeld slow the connection down, and go on when they are read', async (t) => {
  const { client, con } = await connectPair(t, {
    server: { ...QMUX.server, maxHeld: 256 * KIB, connectionWindow: 256 * KIB, maxConnectionWindow: 256 * KIB },
    client: QMUX.client
  })
  const pairs = []
  for (let n = 0; n < 4; n++) pairs.push(await openPair(client, con, n))
  const paused = pairs.map(({ acceptor }) => acceptor.on('data', () => {}).pause())
  for (const { creator } of pairs) creator.end(Buffer.alloc(200 * KIB))
  await eventually(() => paused.reduce((sum, { readableLength }) => sum + readableLength, 0) > 0, 'some of it')
  await client.connection.ping()
  const ends = paused.map((stream) => nextEvent(stream, 'end'))
  for (const stream of paused) stream.resume()
  await Promise.all(ends)
})

test('a meta that is larger than the windows comes through, and so does an end value', async (t) => {
  const { client, con } = await connectPair(t, {
    server: { protocol: 'qmux', streamWindow: 1000, connectionWindow: 1500, maxStreamWindow: 2000, maxConnectionWindow: 3000 },
    client: { protocol: 'qmux' }
  })
  const meta = 'm'.repeat(200_000)
  const { creator, acceptor } = await openPair(client, con, meta)
  assert.equal(acceptor.meta, meta)
  const ended = nextEvent(acceptor.resume(), 'end')
  creator.end({ value: meta })
  assert.equal(JSON.parse((await ended)[0]).value, meta)
})

test('windows of one byte are slow and nothing worse', async (t) => {
  const tiny = { protocol: 'qmux', streamWindow: 1, connectionWindow: 1, maxStreamWindow: 1, maxConnectionWindow: 1 }
  const { client, con } = await connectPair(t, { server: tiny, client: tiny })
  const { creator, acceptor } = await openPair(client, con, 'm')
  creator.end(Buffer.from('abc'))
  assert.equal((await takeBytes(acceptor, 3)).toString(), 'abc')
})

test('both write and nobody reads: nothing deadlocks once they do', async (t) => {
  const { client, con } = await connectPair(t, QMUX)
  const { creator, acceptor } = await openPair(client, con)
  for (const stream of [creator, acceptor]) stream.on('data', () => {}).pause()
  const size = 4096 * KIB
  for (const stream of [creator, acceptor]) stream.write(Buffer.alloc(size))
  await eventually(() => creator.readableLength > 0 && acceptor.readableLength > 0, 'both to be full')
  // The connection itself is not stuck meanwhile.
  await client.connection.ping()
  await con.ping()
  await openPair(con, client, 'another')
  await Promise.all([takeBytes(creator.resume(), size), takeBytes(acceptor.resume(), size)])
})

test('a peer that fills its side and reads nothing of ours until it is taken all is not waited for', async (t) => {
  const { open, check } = await siege(t, { protocol: 'auto' })
  let read = 0
  const { peer, wire } = await open({
    prepare: (con) => con.on('stream', (stream) => {
      stream.on('data', (chunk) => {
        read += chunk.length
        stream.write(chunk) // whatever write() says
      })
    })
  })
  peer.send(f.open(one))
  await peer.roundTrip(1)
  wire.stopReading()
  // All the credit that it has without reading.
  const block = Buffer.alloc(16_000)
  for (let n = 0; n < 16; n++) await peer.write(record(f.message(one, block)))
  await eventually(() => read === 16 * block.length, 'all to be read')
  wire.startReading()
  const back = await peer.bytes(one, 16 * block.length + 1)
  assert.equal(back[0], 0)
  await check()
})

test('a ping is answered and sent ahead of bulk that waits', async (t) => {
  const { open, check } = await siege(t, { protocol: 'auto' })
  let stream
  const { peer, con, wire } = await open({ prepare: (con) => con.on('stream', (it) => { stream = it.on('error', () => {}).resume() }) })
  peer.send(f.open(one))
  await eventually(() => stream !== undefined, 'the stream')
  wire.stopReading()
  for (let n = 0; n < 64; n++) stream.write(Buffer.alloc(1024 * KIB))
  await eventually(() => con.stats().queuedBytes > 32 * 1024 * KIB, 'the bulk to wait')
  peer.send(f.ping(7))
  const pinged = con.ping()
  pinged.catch(() => {})
  wire.startReading()
  let bulk = 0
  const wanted = new Set(['pong', 'ping'])
  while (wanted.size > 0) {
    const frame = await peer.next()
    wanted.delete(frame.kind)
    if (frame.kind === 'stream') bulk += frame.payload.length
    if (frame.kind === 'ping') peer.send(f.pong(frame.number))
  }
  // What both kernels' buffers hold went before; 64 MiB waited.
  assert.ok(bulk < 24 * 1024 * KIB, `${bulk} bytes came before`)
  await pinged
  wire.destroy()
  await check()
})

test('a message of which credit lacks waits in its stream, and the others go on', async (t) => {
  const { open, check } = await siege(t, { protocol: 'auto' })
  const { peer, con } = await open({ parameters: { maxStreamDataRemote: 100 } })
  const opened = [con.StreamPool.createStream('a'), con.StreamPool.createStream('b')]
  const ids = []
  for (let n = 0; n < 2; n++) {
    const { id } = await peer.next('stream')
    ids.push(id)
    peer.send(f.message(id, '\0'))
  }
  assert.deepEqual(ids, [down(0), down(1)])
  const [first, second] = await Promise.all(opened)
  first.write(Buffer.alloc(100_000, 'a'))
  await peer.next('streamDataBlocked')
  second.write(Buffer.from('not stuck'))
  assert.equal((await peer.bytes(down(1), 9)).toString(), 'not stuck')
  peer.send(f.maxStreamData(down(0), 200_000))
  await peer.bytes(down(0), 90_000)
  await check()
})

test('a refusal whose code comes in parts is a refusal, and ties up nobody', async (t) => {
  // In a process of its own: what it is about is a server that answers nobody any more.
  const server = await besiege(t, 'flood', { protocol: 'qmux' })
  for (const parts of [[[1], [0x40], [70]], [[1, 0xc0], [0, 0, 0], [0, 0, 0, 70]], [[1, 0x40], [70, 0, 0]], [[1], [], [5, 1, 2, 3]]]) {
    const peer = await server.open()
    const { id } = await peer.next('stream')
    parts.forEach((part, index) => peer.send(f.message(id, Buffer.from(part), { fin: index === parts.length - 1 })))
    await within(peer.roundTrip(1), `an answer behind ${JSON.stringify(parts)}`)
    peer.wire.destroy()
  }
  const whole = await server.open()
  const { id } = await whole.next('stream')
  await whole.wire.dribble(record(f.message(id, Buffer.from([1, 0x40, 70]), { fin: true })))
  await within(whole.roundTrip(1), 'an answer behind a refusal byte by byte')
  await server.servesOthers()
})

test('a stream that comes byte by byte is the stream that was sent', async (t) => {
  const { open, check } = await siege(t, { protocol: 'auto' })
  const ended = []
  const { wire, peer } = await open({
    prepare: (con) => con.on('stream', (stream) => {
      const chunks = []
      stream.on('data', (chunk) => chunks.push(chunk.toString()))
      stream.on('end', (value) => ended.push([stream.meta, chunks, String(value)]))
    })
  })
  await wire.dribble(join(
    record(f.padding(3), f.message(one, '\x07{"a'), f.ping(4)),
    record(f.message(one, '":1}')),
    record(f.message(one, 'first', { length: false })),
    record(f.message(one, 'second'), f.endValue(one), f.message(one, '[1,')),
    record(f.message(one, '2]', { fin: true, length: false }))
  ))
  await eventually(() => ended.length === 1, 'the end')
  assert.deepEqual(ended, [[{ a: 1 }, ['first', 'second'], '[1,2]']])
  await peer.roundTrip(5)
  await check()
})
