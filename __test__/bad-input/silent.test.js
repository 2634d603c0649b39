'use strict'

// Peers that do nothing wrong on the wire and are a nuisance all the same.

const test = require('node:test')
const assert = require('node:assert/strict')
const { connectWire, frame } = require('../support/wire.js')
const { nextEvent, eventually, events } = require('../support/events.js')
const { arena } = require('../support/healthy.js')

test('peers that connect and say nothing hold up nobody', async (t) => {
  const { server, healthy } = await arena(t)
  const accepted = events(server, 'connection', 100)
  for (let count = 0; count < 100; count++) await connectWire(t, server.address().port)
  await accepted
  await healthy.check()
})

test('peers that stop in the middle of a header hold up nobody', async (t) => {
  const { connect, healthy } = await arena(t)
  const connections = []
  for (let length = 1; length < 6; length++) {
    const { peer, con } = await connect()
    peer.send(Buffer.from([0, 0, 0, 10, 0, 2]).subarray(0, length))
    connections.push([con, length])
  }
  await eventually(() => connections.every(([con, length]) => con.bytesRead === length), 'all is read')
  assert.ok(connections.every(([con]) => !con.destroyed))
  await healthy.check()
})

test('peers that connect and leave at once, with a FIN or an RST, hold up nobody', async (t) => {
  const { server, healthy, errors } = await arena(t)
  for (let count = 0; count < 100; count++) {
    const accepted = nextEvent(server, 'connection')
    const peer = await connectWire(t, server.address().port)
    const [con] = await accepted
    const closed = nextEvent(con, 'close')
    if (count % 2) peer.finish()
    else peer.reset()
    const [hadError] = await closed
    assert.equal(hadError, count % 2 === 0)
    if (hadError) assert.equal(errors.get(con).code, 'ECONNRESET')
  }
  await healthy.check()
})

test('a peer that never reads, while the application writes to it, is nobody else\'s trouble', async (t) => {
  const { connect, healthy } = await arena(t)
  const { peer, con, closed } = await connect()
  con.StreamPool.createStream(null, (stream) => {
    const block = Buffer.alloc(65536)
    const fill = () => {
      while (stream.write(block));
      stream.once('drain', fill)
    }
    fill()
  })
  await peer.frame() // the offer
  const { id } = await peer.frame()
  peer.stopReading()
  peer.send(frame(id, 4, 'null'))
  await eventually(() => con.stats().queuedBytes > 0, 'the queue is in use')
  await healthy.check()
  assert.ok(con.stats().queuedBytes <= 2 * 1024 * 1024)
  peer.destroy()
  await closed
  await healthy.check()
})

test('a listener for streams that throws away the connection of an attacker mid-frame is safe', async (t) => {
  const { connect, healthy } = await arena(t)
  for (let count = 0; count < 50; count++) {
    const { peer, con, closed } = await connect()
    con.on('stream', () => con.destroy())
    peer.send('00000007 00 02 31  00000007 01 02 32  00000007 00 00 78  00000000 00 00')
    assert.equal((await closed)[0], false)
  }
  await healthy.check()
})
