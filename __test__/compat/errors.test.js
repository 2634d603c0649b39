'use strict'

// COMPAT.md, "errors nobody listens to": what a connection's end means to its events and its streams.

const test = require('node:test')
const assert = require('node:assert/strict')
const { Readable, Writable } = require('node:stream')
const { MuxClient, watchClient, startServer, connectPair, connectStream, openPair } = require('../support/mux.js')
const { nextEvent, within, turn, collect } = require('../support/events.js')
const { connectWire, listenWire, frame } = require('../support/wire.js')

// A server and an old client on it, with one stream of the client's.
async function serverWithPeer (t, options) {
  const server = await startServer(t, options)
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port)
  const [con] = await accepted
  const announced = nextEvent(con, 'stream')
  peer.send('0000000a 00 02 6e756c6c')
  const [stream] = await announced
  await peer.expects('0000000a 00 04 6e756c6c')
  return { server, con, peer, stream }
}

test('a reset with no error listener anywhere ends that connection and nothing else', async (t) => {
  const { server, con, peer } = await serverWithPeer(t)
  const closed = nextEvent(con, 'close')
  peer.reset()
  assert.deepEqual(await closed, [true])
  const next = nextEvent(server, 'connection')
  await connectWire(t, server.address().port)
  await next
})

test('a reset with no error listener on the connection is the server\'s connectionError, then close(true)', async (t) => {
  const { server, con, peer } = await serverWithPeer(t)
  const order = []
  server.on('connectionError', (error, connection) => order.push(error.code, connection === con))
  con.on('close', (hadError) => order.push(hadError))
  const closed = nextEvent(con, 'close')
  peer.reset()
  await closed
  assert.deepEqual(order, ['ECONNRESET', true, true])
})

test('a reset with an error listener on the connection is error, then close(true)', async (t) => {
  const { con, peer } = await serverWithPeer(t)
  const order = []
  con.on('error', (error) => order.push(error.code, error.syscall, error.errno < 0))
  con.on('close', (hadError) => order.push(hadError))
  const closed = nextEvent(con, 'close')
  peer.reset()
  await closed
  assert.deepEqual(order, ['ECONNRESET', 'read', true, true])
})

test('a protocol error has a code and names the peer as its origin', async (t) => {
  const { server, con, peer } = await serverWithPeer(t)
  const reported = nextEvent(server, 'connectionError')
  const closed = nextEvent(con, 'close')
  peer.send('00000000 00 00') // a frame of length 0
  const [error, connection] = await reported
  assert.ok(error instanceof Error)
  assert.equal(error.code, 'ERR_MUX_FRAME_LENGTH')
  assert.equal(error.origin, 'peer')
  assert.equal(connection, con)
  assert.deepEqual(await closed, [true])
})

test('streams of a lost connection are destroyed: error where it is listened for, else in stream.errored', async (t) => {
  const { con, peer, stream: quiet } = await serverWithPeer(t)
  const announced = nextEvent(con, 'stream')
  peer.send('0000000a 01 02 6e756c6c')
  const [heard] = await announced
  const order = []
  heard.on('error', (error) => order.push(error))
  heard.on('close', () => order.push('close'))
  quiet.on('end', () => assert.fail('the peer did not end it'))
  heard.on('end', () => assert.fail('the peer did not end it'))
  const closed = Promise.all([nextEvent(quiet, 'close'), nextEvent(heard, 'close')])
  peer.reset()
  await closed
  assert.equal(order.length, 2)
  assert.equal(typeof order[0].code, 'string')
  assert.equal(order[1], 'close')
  assert.equal(typeof quiet.errored.code, 'string')
  assert.equal(quiet.destroyed, true)
  assert.equal(heard.destroyed, true)
})

test('streams still open when the connection ends tidily are destroyed the same way', async (t) => {
  const { con, peer, stream } = await serverWithPeer(t)
  stream.resume()
  stream.on('end', () => assert.fail('the peer did not end it'))
  const closed = Promise.all([nextEvent(stream, 'close'), nextEvent(con, 'close')])
  peer.finish()
  assert.deepEqual(await closed, [[], [false]])
  assert.equal(stream.errored.code, 'ERR_MUX_CONNECTION_CLOSED')
})

test('a creator\'s streams are destroyed with its connection, too', async (t) => {
  const { con, client, creator } = await connectStream(t)
  client.on('error', () => {})
  const closed = nextEvent(creator, 'close')
  const failed = nextEvent(creator, 'error')
  con.destroy()
  assert.equal(typeof (await failed)[0].code, 'string')
  await closed
  assert.equal(creator.destroyed, true)
})

test('a stream the peer has ended gets its end, not an error, when the connection goes right after', async (t) => {
  const { con, peer, stream } = await serverWithPeer(t)
  const all = collect(stream)
  stream.on('error', assert.fail)
  const closed = nextEvent(con, 'close')
  peer.send('00000008 00 00 6869  0000000a 00 03 6e756c6c') // data 'hi', end
  peer.finish()
  const { chunks } = await all
  assert.deepEqual(chunks.map(String), ['hi'])
  await closed
  await turn()
  assert.equal(stream.errored, null)
})

test('what had arrived before a tidy end is delivered before the streams close', async (t) => {
  const { peer, stream } = await serverWithPeer(t)
  const got = []
  stream.on('data', (chunk) => got.push(String(chunk)))
  const closed = nextEvent(stream, 'close')
  for (let index = 0; index < 100; index++) peer.send(frame(0, 0, `chunk ${index}`))
  peer.finish()
  await closed
  assert.equal(got.length, 100)
  assert.equal(got[99], 'chunk 99')
})

test('a paused stream whose connection has ended keeps its data and its end for the reader', async (t) => {
  const { con, peer, stream } = await serverWithPeer(t)
  stream.pause()
  const closed = nextEvent(con, 'close')
  peer.send('00000008 00 00 6869  0000000a 00 03 6e756c6c')
  peer.finish()
  await closed
  const { chunks } = await collect(stream.resume())
  assert.deepEqual(chunks.map(String), ['hi'])
})

test('stream.destroy(error) is that stream\'s own affair', async (t) => {
  const { con, client } = await connectPair(t)
  const first = await openPair(client, con)
  const second = await openPair(client, con)
  const reason = new Error('mine')
  const failed = nextEvent(first.acceptor, 'error')
  first.acceptor.destroy(reason)
  assert.equal((await failed)[0], reason)
  // Its creator may go on writing: the bytes are discarded, and the neighbour is not disturbed.
  for (let index = 0; index < 100; index++) first.creator.write(Buffer.alloc(10_000))
  first.creator.end()
  const arrived = nextEvent(second.acceptor, 'data')
  second.creator.write(Buffer.from('undisturbed'))
  assert.equal(String((await arrived)[0]), 'undisturbed')
})

test('a creator that is destroyed ends its stream on the other side and frees its place', async (t) => {
  const { con, client } = await connectPair(t)
  const { creator, acceptor } = await openPair(client, con)
  acceptor.resume()
  const over = nextEvent(acceptor, 'end')
  creator.destroy()
  await over
  for (let index = 0; index < 256; index++) {
    const next = await openPair(client, con)
    const ended = nextEvent(next.acceptor, 'end')
    next.acceptor.resume()
    next.creator.destroy()
    await ended
  }
})

test('the awaited Promise of createStream rejects with the lost connection', async (t) => {
  const wire = await listenWire(t)
  const client = await watchClient(t, new MuxClient(wire.port, '127.0.0.1'))
  client.on('error', () => {})
  const peer = await wire.next()
  const opening = client.StreamPool.createStream('s')
  await peer.frameAfterOffer()
  peer.reset()
  await assert.rejects(within(opening, 'the Promise to reject'), (error) => typeof error.code === 'string')
})

test('an error listener may be attached as late as in the connection event', async (t) => {
  const server = await startServer(t)
  server.on('connectionError', assert.fail)
  const failed = within(new Promise((resolve) => {
    server.on('connection', (con) => con.on('error', resolve))
  }), 'the error')
  const peer = await connectWire(t, server.address().port)
  peer.send('00000005 00 00') // a frame of length 5, right behind the connect
  assert.equal((await failed).code, 'ERR_MUX_FRAME_LENGTH')
})

// What a server does to its streams when a client is lost, with no error listener anywhere: nothing of it may throw.
const BUSY = {
  'is written to': (stream) => { for (let count = 0; count < 100; count++) stream.write(Buffer.alloc(65536)) },
  'is written to with a callback': (stream) => stream.write(Buffer.alloc(8_000_000), () => {}),
  'has ended and not finished': (stream) => stream.end(Buffer.alloc(8_000_000)),
  'has ended with a value and a callback': (stream) => {
    stream.write(Buffer.alloc(8_000_000))
    stream.end({ done: true }, () => {})
  },
  'is piped into': (stream) => new Readable({ read () { this.push(Buffer.alloc(65536)) } }).pipe(stream),
  'is waiting for drain': (stream) => {
    while (stream.write(Buffer.alloc(65536)));
    stream.on('drain', () => {})
  },
  'is corked': (stream) => {
    stream.cork()
    stream.write(Buffer.alloc(65536))
  }
}

for (const [what, occupy] of Object.entries(BUSY)) {
  for (const way of ['reset', 'finish', 'destroy']) {
    test(`a created stream that ${what} when the connection is lost (${way}) throws nothing and closes`, async (t) => {
      const { con, peer } = await serverWithPeer(t)
      const opening = con.StreamPool.createStream('busy')
      const { id } = await peer.frame()
      peer.send(frame(id, 4, 'null'))
      const stream = await opening
      const closed = Promise.all([nextEvent(stream, 'close'), nextEvent(con, 'close')])
      occupy(stream)
      await turn()
      if (way === 'destroy') con.destroy()
      else peer[way]()
      if (way === 'finish') peer.stopReading().destroy()
      await closed
      await turn()
      assert.equal(stream.destroyed, true)
    })
  }
}

test('an accepted stream that is piped into a file-like sink when the connection is lost throws nothing', async (t) => {
  const { con, peer, stream } = await serverWithPeer(t)
  stream.pipe(new Writable({ write (chunk, encoding, done) { setImmediate(done) } }))
  const closed = Promise.all([nextEvent(stream, 'close'), nextEvent(con, 'close')])
  peer.send(frame(0, 0, Buffer.alloc(500_000)))
  await turn()
  peer.reset()
  await closed
  assert.equal(stream.destroyed, true)
})

test('a stream that is ended after the peer has half-closed throws nothing, and closes', async (t) => {
  const server = await startServer(t)
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port, { allowHalfOpen: true })
  const [con] = await accepted
  const opened = con.StreamPool.createStream('ours')
  const { id } = await peer.frameAfterOffer()
  peer.stopReading().send(frame(id, 4, 'null'))
  const stream = await opened
  stream.write(Buffer.alloc(20_000_000)) // so much that the connection cannot end yet
  const ended = nextEvent(con, 'end')
  peer.finish()
  await ended
  await turn()
  assert.deepEqual([con.readyState, stream.destroyed], ['readOnly', false])
  const closed = nextEvent(stream, 'close')
  const code = await within(new Promise((resolve) => stream.end((error) => resolve(error.code))), 'the callback')
  assert.equal(code, 'ERR_MUX_CONNECTION_CLOSED')
  await closed
})
