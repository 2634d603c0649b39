'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const { MuxClient, startServer, watchClient } = require('../support/mux.js')
const { within, nextEvent, takeBytes } = require('../support/events.js')
const { Peer, connectPeer, everywhere, echo } = require('./peer.js')

everywhere(test, 'both ends know each other to speak QMux', async (t, arrangement) => {
  const { peer, con, closed, established } = await connectPeer(t, arrangement)
  // What our transport parameters say: 256 streams, no unidirectional ones, no datagrams.
  assert.deepEqual(established, { event: 'established', bidi: 256, uni: 0, datagram: 0 })
  echo(con)
  assert.equal((await peer.ask('exchange 1 1000')).intact, 1)
  assert.equal(con.protocol, 'qmux')
  assert.equal(con.stats().streamsAccepted, 1)
  peer.command('close 0')
  const { firstReceived } = await peer.event('closed')
  // A record of less than 16384 bytes whose first frame is QX_TRANSPORT_PARAMETERS, ours with the private parameter:
  // id 3254534d58000001 as a varint, length 1, value 1.
  assert.match(firstReceived, /^([0-3].|[4-7]...)ff5153300d0a0d0a/)
  assert.match(firstReceived, /f254534d580000010101/)
  assert.equal(await closed(), undefined)
})

everywhere(test, 'the number of streams it may open is an option', async (t, arrangement) => {
  const { established } = await connectPeer(t, arrangement, { ours: { maxIncomingStreams: 17 } })
  assert.equal(established.bidi, 17)
})

everywhere(test, 'a stream of ours is open at once, and carries bytes both ways', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement)
  const stream = await within(con.StreamPool.createStream({ name: 'dropped' }), 'the stream to open')
  // Nothing is written yet, and the peer has seen it.
  assert.equal((await peer.event('accepted')).stream, 0)
  stream.write(Buffer.from('bytes'))
  assert.equal((await takeBytes(stream, 5)).toString(), 'bytes')
  const ended = nextEvent(stream, 'end')
  stream.end()
  assert.deepEqual(await ended, [])
  const { bytes, end } = await peer.event('read')
  assert.deepEqual({ bytes, end }, { bytes: 5, end: 'fin' })
})

everywhere(test, 'the callback form of createStream(null) is called when the stream is opened', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement)
  const stream = await within(new Promise((resolve) => con.StreamPool.createStream(null, resolve)), 'the callback')
  stream.end({ a: 'value' })
  // An end value has no frame of its own here: it is the bytes of its JSON text.
  assert.equal((await peer.event('read')).bytes, '{"a":"value"}'.length)
})

everywhere(test, 'a stream of theirs has no meta, and carries bytes both ways', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement, { ours: { allowHalfOpen: true } })
  const answer = peer.ask('ask who is there')
  const [stream] = await nextEvent(con, 'stream')
  assert.equal(stream.meta, undefined)
  assert.equal((await takeBytes(stream, 12)).toString(), 'who is there')
  stream.end(Buffer.from('nobody'))
  assert.equal((await answer).answer, 'nobody')
})

for (const protocol of ['auto', 'legacy']) {
  test(`a client on '${protocol}' that meets it as a server ends with a coded error`, async (t) => {
    const peer = new Peer(t, ['listen'], {})
    const { port } = await peer.event('listening')
    const client = new MuxClient({ port, host: '127.0.0.1', protocol })
    const failed = nextEvent(client, 'error')
    await watchClient(t, client)
    const [error] = await failed
    assert.equal(error.code, 'ERR_MUX_QMUX_START')
    await peer.event('closed')
  })
}

test("a server on 'legacy' that meets it as a client ends that connection with a coded error", async (t) => {
  const server = await startServer(t, { protocol: 'legacy' })
  const failed = nextEvent(server, 'connectionError')
  const peer = new Peer(t, ['connect', `127.0.0.1:${server.address().port}`], {})
  const [error] = await failed
  assert.equal(error.code, 'ERR_MUX_QMUX_START')
  await peer.event('closed')
})
