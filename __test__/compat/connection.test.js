'use strict'

// COMPAT.md, "Public surface": the connection object, a net.Socket in the original.

const test = require('node:test')
const assert = require('node:assert/strict')
const net = require('node:net')
const { EventEmitter } = require('node:events')
const { BOTH_LEGACY, PROTOCOL, startServer, connectPair, openPair } = require('../support/mux.js')
const { nextEvent, within, eventually, turn } = require('../support/events.js')
const { connectWire, frame } = require('../support/wire.js')

test('addresses and ports are those of the TCP connection, on both ends', async (t) => {
  const { server, con, client } = await connectPair(t)
  const { port } = server.address()
  assert.equal(con.localAddress, '127.0.0.1')
  assert.equal(con.localPort, port)
  assert.equal(con.remoteAddress, '127.0.0.1')
  assert.equal(con.remoteFamily, 'IPv4')
  assert.equal(client.connection.remoteAddress, '127.0.0.1')
  assert.equal(client.connection.remotePort, port)
  assert.equal(client.connection.localPort, con.remotePort)
  assert.equal(client.connection.remoteFamily, 'IPv4')
  assert.deepEqual(con.address(), { address: '127.0.0.1', family: 'IPv4', port })
  assert.deepEqual(client.connection.address(), { address: '127.0.0.1', family: 'IPv4', port: con.remotePort })
})

test('addresses, ports and byte counts stay readable after the close', async (t) => {
  const { con, client } = await connectPair(t)
  await openPair(client, con)
  const { remotePort, localPort } = con
  const closed = nextEvent(con, 'close')
  client.end()
  await closed
  assert.equal(con.remoteAddress, '127.0.0.1')
  assert.equal(con.remoteFamily, 'IPv4')
  assert.equal(con.remotePort, remotePort)
  assert.equal(con.localAddress, '127.0.0.1')
  assert.equal(con.localPort, localPort)
  assert.ok(con.bytesRead > 0)
  assert.ok(con.bytesWritten > 0)
})

test('bytesRead and bytesWritten are the bytes of the TCP connection', async (t) => {
  const server = await startServer(t)
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port)
  const [con] = await accepted
  assert.equal(con.bytesRead, 0)
  assert.equal(con.bytesWritten, 0)
  const announced = nextEvent(con, 'stream')
  peer.send('0000000a 00 02 6e756c6c') // new stream 0, meta null
  const [stream] = await announced
  await peer.expects('0000000a 00 04 6e756c6c') // ack
  await eventually(() => con.bytesRead === 10 && con.bytesWritten === 10, 'ten bytes each way are counted')
  const arrived = nextEvent(stream, 'data')
  peer.send('00000008 00 00 6869') // data 'hi'
  await arrived
  assert.equal(con.bytesRead, 18)
  assert.equal(con.bytesWritten, 10)
})

test('the connection is an EventEmitter, no net.Socket, and emits no raw data', async (t) => {
  const { con, client } = await connectPair(t)
  assert.ok(con instanceof EventEmitter)
  assert.equal(con instanceof net.Socket, false)
  con.on('data', () => assert.fail('raw data on the connection'))
  const { creator, acceptor } = await openPair(client, con)
  const arrived = nextEvent(acceptor, 'data')
  creator.write(Buffer.from('x'))
  await arrived
})

test('con.write throws instead of corrupting the framing', async (t) => {
  const { con, client } = await connectPair(t)
  for (const connection of [con, client.connection]) {
    assert.throws(() => connection.write('raw'), { code: 'ERR_MUX_RAW_WRITE' })
  }
  await openPair(client, con) // nothing was harmed
})

test('end() half-closes: the peer emits end after all that was written, then both close', async (t) => {
  const { con, client } = await connectPair(t)
  const { creator, acceptor } = await openPair(con, client)
  const got = []
  acceptor.on('data', (chunk) => got.push(String(chunk)))
  acceptor.on('end', () => got.push('end'))
  client.connection.on('end', () => got.push('connection end'))
  const closed = Promise.all([nextEvent(con, 'close'), nextEvent(client.connection, 'close'), nextEvent(client, 'close')])
  creator.write(Buffer.from('a'))
  creator.write(Buffer.from('b'))
  creator.end()
  con.end()
  assert.deepEqual(await closed, [[false], [false], [false]])
  assert.deepEqual(got, ['a', 'b', 'end', 'connection end'])
})

test('the peer\'s FIN is an end event, and the connection ends itself after it', async (t) => {
  const server = await startServer(t)
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port, { allowHalfOpen: true })
  const [con] = await accepted
  const order = []
  con.on('end', (...args) => order.push(['end', args]))
  con.on('close', (...args) => order.push(['close', args]))
  const closed = nextEvent(con, 'close')
  peer.finish()
  await closed
  assert.deepEqual(order, [['end', []], ['close', [false]]])
  assert.equal((await peer.rest()).length, 0)
})

test('with allowHalfOpen the other half stays open until end()', async (t) => {
  const server = await startServer(t, { allowHalfOpen: true })
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port, { allowHalfOpen: true })
  const [con] = await accepted
  const announced = nextEvent(con, 'stream')
  peer.send(frame(0, 2, '"x"'))
  await announced
  await peer.expects('0000000a 00 04 6e756c6c')
  const ended = nextEvent(con, 'end')
  peer.finish()
  await ended
  assert.equal(con.destroyed, false)
  con.StreamPool.createStream('after the FIN', () => {})
  const { id, type, text } = await peer.frame()
  assert.deepEqual({ id, type, text }, { id: 255, type: 2, text: '"after the FIN"' })
  const closed = nextEvent(con, 'close')
  con.end()
  assert.deepEqual(await closed, [false])
})

test('destroy() closes at once, without an error', async (t) => {
  const { con, client } = await connectPair(t)
  assert.equal(con.destroyed, false)
  const closed = nextEvent(con, 'close')
  const clientClosed = nextEvent(client, 'close')
  client.on('error', () => {}) // a FIN or an RST, as the kernel sees fit
  con.destroy()
  assert.equal(con.destroyed, true)
  assert.deepEqual(await closed, [false])
  await clientClosed
})

test('destroy(error) emits error, then close(true)', async (t) => {
  const { con, client } = await connectPair(t)
  client.on('error', () => {})
  const order = []
  const reason = new Error('no more')
  con.on('error', (error) => order.push(error))
  con.on('close', (hadError) => order.push(hadError))
  const closed = nextEvent(con, 'close')
  con.destroy(reason)
  assert.deepEqual(order, [], 'nothing is emitted before destroy() has returned')
  await closed
  assert.deepEqual(order, [reason, true])
})

test('destroy() may be called again, and after the end, without effect', async (t) => {
  const { con, client } = await connectPair(t)
  client.on('error', () => {})
  let closes = 0
  con.on('close', () => closes++)
  const closed = Promise.all([nextEvent(con, 'close'), nextEvent(client, 'close')])
  con.destroy()
  con.destroy()
  con.end()
  await closed
  con.destroy(new Error('too late'))
  con.end()
  await turn()
  assert.equal(closes, 1)
})

test('pause() stops what comes in and resume() goes on with it', async (t) => {
  const server = await startServer(t)
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port)
  const [con] = await accepted
  const streams = []
  con.on('stream', (stream) => streams.push(stream.meta))
  con.pause()
  // A second connection shows that the server had its chance to read from the first one.
  peer.send(frame(0, 2, '1'))
  const other = nextEvent(server, 'connection')
  const probe = await connectWire(t, server.address().port)
  const [probeConnection] = await other
  for (let round = 0; round < 10; round++) {
    const announced = nextEvent(probeConnection, 'stream')
    probe.send(frame(round, 2, 'null'))
    await announced
  }
  assert.deepEqual(streams, [])
  const announced = nextEvent(con, 'stream')
  con.resume()
  await announced
  assert.deepEqual(streams, [1])
})

test('setNoDelay, setKeepAlive, setTimeout, pause, resume, ref and unref give back the connection', async (t) => {
  const { con, client } = await connectPair(t)
  for (const connection of [con, client.connection]) {
    assert.equal(connection.setNoDelay(), connection)
    assert.equal(connection.setNoDelay(false), connection)
    assert.equal(connection.setKeepAlive(true, 1000), connection)
    assert.equal(connection.setKeepAlive(false), connection)
    assert.equal(connection.setTimeout(0), connection)
    assert.equal(connection.pause(), connection)
    assert.equal(connection.resume(), connection)
    assert.equal(connection.unref(), connection)
    assert.equal(connection.ref(), connection)
  }
  await openPair(client, con)
})

test('setTimeout emits timeout on an idle connection and leaves it open', async (t) => {
  const { con, client } = await connectPair(t)
  const args = await within(new Promise((resolve) => con.setTimeout(20, (...args) => resolve(args))), 'the callback')
  assert.deepEqual(args, [])
  con.setTimeout(20)
  assert.deepEqual(await nextEvent(con, 'timeout'), [])
  assert.equal(con.destroyed, false)
  await openPair(client, con)
})

test('setTimeout(0) takes the timeout back', async (t) => {
  const { con, client } = await connectPair(t)
  con.on('timeout', () => assert.fail('there was a timeout'))
  client.connection.setTimeout(60)
  con.setTimeout(20)
  con.setTimeout(0)
  await nextEvent(client.connection, 'timeout')
})

test('stats() tells what a connection has done', async (t) => {
  const { con, client } = await connectPair(t)
  const { creator, acceptor } = await openPair(client, con)
  const ended = nextEvent(acceptor, 'end')
  acceptor.resume()
  await within(new Promise((resolve) => creator.end(Buffer.from('bytes'), resolve)), 'the end to be sent')
  await ended
  await openPair(con, client)
  await eventually(() => con.stats().streamsLive === 1 && client.connection.stats().streamsLive === 1, 'one lives')
  const stats = con.stats()
  assert.equal(stats.streamsAccepted, 1)
  assert.equal(stats.streamsOpened, 1)
  assert.equal(stats.bytesRead, con.bytesRead)
  assert.equal(stats.bytesWritten, con.bytesWritten)
  assert.equal(stats.discardedStreams, 0)
  assert.equal(stats.discardedBytes, 0)
  assert.equal(stats.peer, PROTOCOL === 'legacy' ? 'old' : 'new')
  assert.equal(con.protocol, PROTOCOL === 'legacy' ? 'legacy' : 'qmux')
  const clientStats = client.connection.stats()
  assert.equal(clientStats.streamsOpened, 1)
  assert.equal(clientStats.streamsAccepted, 1)
})

test('the bytes one end has written are the bytes the other has read', async (t) => {
  for (const options of [undefined, BOTH_LEGACY]) {
    const { con, client } = await connectPair(t, options)
    const { creator, acceptor } = await openPair(client, con)
    const ended = nextEvent(acceptor, 'end')
    acceptor.resume()
    for (let index = 0; index < 1000; index++) creator.write(Buffer.alloc(index))
    creator.end()
    await ended
    await eventually(() => con.bytesRead === client.connection.bytesWritten, 'the counts agree')
    if (options === BOTH_LEGACY) assert.equal(con.bytesRead, 6 + 18 + 1000 * 6 + 499500 + 10)
  }
})

test('after end() what the peer still sends is delivered to its end, and nothing is answered', async (t) => {
  const server = await startServer(t)
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port, { allowHalfOpen: true })
  const [con] = await accepted
  peer.send(frame(0, 2, '"before"'))
  const [first] = await nextEvent(con, 'stream')
  await peer.expects('0000000a 00 04 6e756c6c')
  const seen = []
  const collectOf = (stream) => stream
    .on('data', (chunk) => seen.push(`${stream.meta} ${chunk}`))
    .on('end', () => seen.push(`${stream.meta} end`))
  collectOf(first)
  con.on('stream', collectOf).on('end', () => seen.push('end'))
  const closed = nextEvent(con, 'close')
  con.end()
  assert.equal((await peer.rest()).length, 0)
  for (const bytes of [frame(0, 0, 'data'), frame(1, 2, '"behind"'), frame(1, 0, 'data'), frame(0, 3, 'null'),
    frame(1, 3, 'null')]) {
    peer.send(bytes)
    await turn()
  }
  peer.finish()
  assert.deepEqual(await closed, [false])
  assert.deepEqual(seen, ['before data', 'behind data', 'before end', 'behind end', 'end'])
  assert.equal(peer.pending, 0)
})
