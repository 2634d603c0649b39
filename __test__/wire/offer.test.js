'use strict'

// The offer, by which two new ends know each other (docs/PROTOCOL.md): a legacy frame of type f0 that old ends skip.
// Ours is of version 1, QMux, and has our parameters; `offer` is one of no version, with which all stays as it was.

const test = require('node:test')
const assert = require('node:assert/strict')
const { MuxClient, watchClient, startServer, connectPair } = require('../support/mux.js')
const { nextEvent, within, eventually, turn } = require('../support/events.js')
const { connectWire, listenWire, hex, offer, offerQmux, switchTo, frame, FIRST_RECORD } = require('../support/wire.js')
const { oldServer } = require('../support/old.js')

async function acceptWire (t, options) {
  const server = await startServer(t, options)
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port)
  const [con] = await accepted
  return { server, con, peer }
}

// Sends `bytes` to a fresh server and expects the connection to end with `code`.
async function serverRefuses (t, bytes, code, options) {
  const { server, con, peer } = await acceptWire(t, options)
  const reported = nextEvent(server, 'connectionError')
  const closed = nextEvent(con, 'close')
  peer.send(bytes)
  const [error] = await reported
  assert.equal(error.code, code)
  assert.equal(error.origin, 'peer')
  assert.deepEqual(await closed, [true])
  await within(peer.closed, 'the connection to close')
}

async function clientRefuses (t, { client, peer }, bytes, code) {
  const failed = nextEvent(client, 'error')
  const closed = nextEvent(client, 'close')
  peer.send(bytes)
  const [error] = await failed
  assert.equal(error.code, code)
  assert.equal(error.origin, 'peer')
  assert.deepEqual(await closed, [true])
}

test('a client\'s first bytes are its offer, in one piece, before anybody opens a stream', async (t) => {
  const wire = await listenWire(t)
  await watchClient(t, new MuxClient(wire.port, '127.0.0.1'))
  const peer = await wire.next()
  await peer.offerQmux()
  assert.equal(peer.pending, 0)
})

test('each connection has a nonce of its own', async (t) => {
  const wire = await listenWire(t)
  const nonces = new Set()
  for (let count = 0; count < 20; count++) {
    await watchClient(t, new MuxClient(wire.port, '127.0.0.1'))
    nonces.add(await (await wire.next()).offerQmux())
  }
  assert.equal(nonces.size, 20)
})

test('a server says nothing before its client has spoken', async (t) => {
  const { con, peer } = await acceptWire(t)
  assert.equal(con.stats().peer, 'undecided')
  const second = await connectWire(t, con.localPort)
  second.send(frame(0, 2, 'null'))
  await second.bytes(10) // the server has had its turn
  assert.equal(peer.pending, 0)
  assert.equal(con.bytesWritten, 0)
})

test('a server answers an offer with its own, and the peer is new', async (t) => {
  const { con, peer } = await acceptWire(t)
  peer.send(offer('0102030405060708'))
  const nonce = await peer.offerQmux()
  assert.notEqual(nonce, '0102030405060708')
  await eventually(() => con.stats().peer === 'new', 'the peer is known to be new')
  assert.equal(con.protocol, 'legacy')
  peer.send('0000000a 00 02 6e756c6c')
  await peer.expects('0000000a 00 04 6e756c6c') // no switch before it: there is no version in common
})

test('an offer that comes byte by byte is one offer', async (t) => {
  const { con, peer } = await acceptWire(t)
  await peer.dribble(offer())
  await peer.offerQmux()
  await eventually(() => con.stats().peer === 'new', 'the peer is known to be new')
})

test('an offer and streams in one segment are understood', async (t) => {
  const server = await startServer(t)
  const metas = []
  server.on('connection', (con) => con.on('stream', (stream) => metas.push(stream.meta)))
  const peer = await connectWire(t, server.address().port)
  peer.send(Buffer.concat([offer(), frame(0, 2, '"a"'), frame(1, 2, '"b"')]))
  await peer.offerQmux()
  await peer.expects('0000000a 00 04 6e756c6c  0000000a 01 04 6e756c6c')
  assert.deepEqual(metas, ['a', 'b'])
})

for (const [what, bytes] of [
  ['a stream', '0000000a 00 02 6e756c6c'],
  ['a frame of an unknown type', '00000006 00 05'],
  ['a frame of an unknown type that has the offer\'s length', '00000014 00 ef 54534d58 00 0102030405060708 00']
]) {
  test(`a peer whose first frame is ${what} is old and gets no offer`, async (t) => {
    const { con, peer } = await acceptWire(t)
    peer.send(bytes)
    await eventually(() => con.stats().peer === 'old', 'the peer is known to be old')
    peer.send('0000000a 07 02 6e756c6c')
    let bytesBack = await peer.bytes(10)
    if (bytesBack[4] === 0) bytesBack = await peer.bytes(10) // the ack of the first case's own stream
    assert.equal(bytesBack.toString('hex'), '0000000a07046e756c6c')
    con.StreamPool.createStream(null, () => {})
    await peer.expects('0000000a ff 02 6e756c6c')
  })
}

test('a server that opens a stream before its peer has spoken sends offer and stream at once', async (t) => {
  const { con, peer } = await acceptWire(t)
  con.StreamPool.createStream('early', () => {})
  await peer.offerQmux()
  await peer.expects('0000000d ff 02 226561726c7922')
  assert.equal(con.stats().peer, 'undecided')
  peer.send('0000000a ff 04 6e756c6c')
  await eventually(() => con.stats().peer === 'old', 'an acknowledgement as first frame means an old peer')
})

test('a server that has offered early sends no second offer to a client that offers', async (t) => {
  const { con, peer } = await acceptWire(t)
  const opening = con.StreamPool.createStream('early')
  await peer.offerQmux()
  await peer.expects('0000000d ff 02 226561726c7922')
  peer.send(offer())
  peer.send('0000000a ff 04 6e756c6c')
  const stream = await within(opening, 'the stream')
  assert.equal(con.stats().peer, 'new')
  stream.write(Buffer.from('hi'))
  await peer.expects('00000008 ff 00 6869')
})

test('a client whose server offers knows it to be new', async (t) => {
  const { client, peer } = await oldServer(t)
  assert.equal(client.connection.stats().peer, 'undecided')
  peer.send(offer())
  await eventually(() => client.connection.stats().peer === 'new', 'the server is known to be new')
  client.StreamPool.createStream(null, () => {})
  await peer.expects('0000000a ff 02 6e756c6c')
})

test('a client whose server\'s first frame is anything else knows it to be old', async (t) => {
  const { client, peer } = await oldServer(t)
  peer.send('00000006 00 05')
  await eventually(() => client.connection.stats().peer === 'old', 'the server is known to be old')
})

test('two of ours find out that both are new', async (t) => {
  const { con, client } = await connectPair(t)
  await eventually(() => con.stats().peer === 'new' && client.connection.stats().peer === 'new', 'both know it')
  await eventually(() => con.protocol === 'qmux' && client.connection.protocol === 'qmux', 'both have switched')
})

test('other versions, parameters and room for more in an offer are accepted, and change nothing', async (t) => {
  for (const bytes of [
    '00000015 00 f0 54534d58 01 02 0102030405060708 00', // one version: 2
    '00000017 00 f0 54534d58 03 020304 0102030405060708 00', // three versions
    '00000017 00 f0 54534d58 00 0102030405060708 03 040100', // three bytes of parameters
    '00000019 00 f0 54534d58 00 0102030405060708 4003 040100 ff', // the same with a longer varint, and room for more
    `00000400 00 f0 54534d58 00 0102030405060708 00 ${'00'.repeat(1024 - 20)}` // one KiB in all
  ]) {
    const { con, peer } = await acceptWire(t)
    peer.send(bytes)
    await peer.offerQmux()
    peer.send('0000000a 00 02 6e756c6c')
    await peer.expects('0000000a 00 04 6e756c6c')
    assert.equal(con.stats().peer, 'new')
    assert.equal(con.protocol, 'legacy')
  }
})

for (const [what, versions] of [['alone', '01 01'], ['among others', '03 070102']]) {
  test(`version 1 ${what} in an offer is answered by a switch, whatever stands behind the parameters`, async (t) => {
    const { con, peer } = await acceptWire(t)
    const parameters = '04 04 80100000 f254534d58000001 01 01'
    peer.send(frame(0, 0xf0, hex(`54534d58 ${versions} 1112131415161718 10 ${parameters} ffff`)))
    const nonce = await peer.offerQmux()
    await peer.expects(switchTo('1112131415161718'))
    await peer.expects(FIRST_RECORD)
    assert.equal(con.protocol, 'legacy')
    peer.send(Buffer.concat([switchTo(nonce), hex(`19 ff5153300d0a0d0a 10 ${parameters}`)]))
    await eventually(() => con.protocol === 'qmux', 'both have switched')
  })
}

test('an offer of version 1 without our mapping is ERR_MUX_OFFER', async (t) => {
  await serverRefuses(t, hex('00000015 00 f0 54534d58 01 01 0102030405060708 00'), 'ERR_MUX_OFFER')
})

test('an offer of version 1 with wrong parameters is ERR_MUX_TRANSPORT_PARAMETER', async (t) => {
  // initial_max_data, twice
  await serverRefuses(t, hex('0000001b 00 f0 54534d58 01 01 0102030405060708 06 040101 040101'), 'ERR_MUX_TRANSPORT_PARAMETER')
})

test('a client answers an offer of version 1 by its switch, ahead of what waits', async (t) => {
  const wire = await listenWire(t)
  const client = await watchClient(t, new MuxClient(wire.port, '127.0.0.1'))
  const peer = await wire.next()
  await peer.offerQmux()
  peer.send(offerQmux())
  await peer.expects(switchTo('0102030405060708'))
  await peer.expects(FIRST_RECORD)
  assert.equal(client.connection.protocol, 'legacy')
})

test('parameters behind the switch that differ from those in the offer are ERR_MUX_PROTOCOL_VIOLATION', async (t) => {
  const { server, peer } = await acceptWire(t)
  const reported = nextEvent(server, 'connectionError')
  peer.send(offerQmux())
  const nonce = await peer.offerQmux()
  const first = hex(FIRST_RECORD)
  first[15] ^= 1
  peer.send(Buffer.concat([switchTo(nonce), first]))
  assert.equal((await reported)[0].code, 'ERR_MUX_PROTOCOL_VIOLATION')
})

test('an acknowledgement from one that has offered version 1 is ERR_MUX_UNKNOWN_STREAM', async (t) => {
  const { server, con, peer } = await acceptWire(t)
  con.StreamPool.createStream('early', () => {})
  await peer.offerQmux()
  const reported = nextEvent(server, 'connectionError')
  peer.send(Buffer.concat([offerQmux(), hex('0000000a ff 04 6e756c6c')]))
  assert.equal((await reported)[0].code, 'ERR_MUX_UNKNOWN_STREAM')
})

test('a switch with another version, another nonce, another length or before its offer is ERR_MUX_SWITCH', async (t) => {
  for (const change of [
    (bytes) => { bytes[10] = 2 },
    (bytes) => { bytes[18] ^= 1 },
    (bytes) => Buffer.concat([hex('00000014'), bytes.subarray(4), hex('00')])
  ]) {
    const { server, peer } = await acceptWire(t)
    const reported = nextEvent(server, 'connectionError')
    peer.send(offerQmux())
    const bytes = switchTo(await peer.offerQmux())
    peer.send(change(bytes) ?? bytes)
    assert.equal((await reported)[0].code, 'ERR_MUX_SWITCH')
  }
  await serverRefuses(t, switchTo('0102030405060708'), 'ERR_MUX_SWITCH')
})

test('a second offer is ERR_MUX_OFFER', async (t) => {
  await serverRefuses(t, Buffer.concat([offer('0102030405060708'), offer('0202030405060708')]), 'ERR_MUX_OFFER')
})

test('a second offer after streams is ERR_MUX_OFFER too', async (t) => {
  await serverRefuses(t, Buffer.concat([offer(), frame(0, 2, 'null'), offer('1111111111111111')]), 'ERR_MUX_OFFER')
})

test('a late offer, behind any other frame, is ERR_MUX_OFFER', async (t) => {
  await serverRefuses(t, Buffer.concat([frame(0, 2, 'null'), offer()]), 'ERR_MUX_OFFER')
  await serverRefuses(t, Buffer.concat([hex('00000006 00 05'), offer()]), 'ERR_MUX_OFFER')
})

test('a late offer is ERR_MUX_OFFER for a client, too', async (t) => {
  const pair = await oldServer(t)
  await clientRefuses(t, pair, Buffer.concat([hex('00000006 00 05'), offer()]), 'ERR_MUX_OFFER')
})

test('a second offer is ERR_MUX_OFFER for a client, too', async (t) => {
  const pair = await oldServer(t)
  await clientRefuses(t, pair, Buffer.concat([offer(), offer('0908070605040302')]), 'ERR_MUX_OFFER')
})

test('an offer with our own nonce comes from a mirror: ERR_MUX_OFFER', async (t) => {
  const wire = await listenWire(t)
  const client = await watchClient(t, new MuxClient(wire.port, '127.0.0.1'))
  const peer = await wire.next()
  await clientRefuses(t, { client, peer }, offer(await peer.offerQmux()), 'ERR_MUX_OFFER')
})

test('a server\'s own nonce back is ERR_MUX_OFFER as well', async (t) => {
  const { server, con, peer } = await acceptWire(t)
  con.StreamPool.createStream('early', () => {})
  const nonce = await peer.offerQmux()
  const reported = nextEvent(server, 'connectionError')
  peer.send(offer(nonce))
  assert.equal((await reported)[0].code, 'ERR_MUX_OFFER')
})

test('an offer above one KiB is ERR_MUX_OFFER, before it has come whole', async (t) => {
  await serverRefuses(t, hex(`00000800 00 f0 54534d58 00 0102030405060708 00 ${'00'.repeat(2048 - 20)}`), 'ERR_MUX_OFFER')
  await serverRefuses(t, hex('08ffffff 00 f0 54534d58 00 0102030405060708 00'), 'ERR_MUX_OFFER')
})

test('an offer whose parts do not fit into it is ERR_MUX_OFFER', async (t) => {
  for (const bytes of [
    '0000000b 00 f0 54534d58 00', // no nonce
    '00000012 00 f0 54534d58 00 01020304050607', // a nonce of seven bytes
    '00000014 00 f0 54534d58 ff 0102030405060708 00', // 255 versions, and no room for them
    '00000014 00 f0 54534d58 00 0102030405060708 05' // five bytes of parameters, and none there
  ]) await serverRefuses(t, hex(bytes), 'ERR_MUX_OFFER')
})

test('a switch is refused after an offer of no version', async (t) => {
  // type f1, id 00: 'TSMX', version 1, a nonce
  await serverRefuses(t, Buffer.concat([offer(), hex('00000013 00 f1 54534d58 01 0102030405060708')]), 'ERR_MUX_SWITCH')
})

test("{ protocol: 'legacy' } makes a client that never offers", async (t) => {
  const { client, peer } = await oldServer(t, { protocol: 'legacy' })
  client.StreamPool.createStream({ a: 1 }, () => {})
  await peer.expects('0000000d ff 02 7b2261223a317d')
})

test("{ protocol: 'legacy' } makes a server that never offers, early streams or not", async (t) => {
  const { con, peer } = await acceptWire(t, { protocol: 'legacy' })
  con.StreamPool.createStream({ a: 1 }, () => {})
  await peer.expects('0000000d ff 02 7b2261223a317d')
})

test("{ protocol: 'legacy' } skips offers as unknown frames, wherever they stand", async (t) => {
  const { peer } = await acceptWire(t, { protocol: 'legacy' })
  peer.send(Buffer.concat([offer(), frame(0, 2, 'null'), offer(), offer(), frame(1, 2, 'null')]))
  await peer.expects('0000000a 00 04 6e756c6c  0000000a 01 04 6e756c6c')
  const { client, peer: other } = await oldServer(t, { protocol: 'legacy' })
  const announced = nextEvent(client, 'stream')
  other.send(Buffer.concat([offer(), offer(), frame(0, 2, '"s"')]))
  assert.equal((await announced)[0].meta, 's')
  await other.expects('0000000a 00 04 6e756c6c')
})

test("a client with { protocol: 'legacy' } and a server that offers work together", async (t) => {
  const { con, client } = await connectPair(t, { client: { protocol: 'legacy' } })
  const announced = nextEvent(client, 'stream')
  await con.StreamPool.createStream('from the server')
  assert.equal((await announced)[0].meta, 'from the server')
  const back = nextEvent(con, 'stream')
  await client.StreamPool.createStream('from the client')
  assert.equal((await back)[0].meta, 'from the client')
  assert.equal(con.stats().peer, 'old')
})

// ---- a QMux start -------------------------------------------------------------------------------------------------

const MAGIC = 'ff5153300d0a0d0a 00' // QX_TRANSPORT_PARAMETERS, of length 0
const STARTS = {
  'one byte': `09 ${MAGIC}`,
  'two bytes': `4009 ${MAGIC}`,
  'four bytes': `80000009 ${MAGIC}`,
  'eight bytes': `c000000000000009 ${MAGIC}`
}

for (const [size, start] of Object.entries(STARTS)) {
  test(`a QMux start with a size of ${size} is answered by a server, and ERR_MUX_QMUX_START for a client`, async (t) => {
    const { con, peer } = await acceptWire(t)
    peer.send(start)
    await peer.expects(FIRST_RECORD)
    await eventually(() => con.stats().peer === 'foreign', 'the peer is known to be foreign')
    // Its event may be behind what the engine knows and has answered.
    await eventually(() => con.protocol === 'qmux', 'the connection says so')
    await clientRefuses(t, await oldServer(t), hex(start), 'ERR_MUX_QMUX_START')
    await serverRefuses(t, hex(start), 'ERR_MUX_QMUX_START', { protocol: 'legacy' })
  })
}

test('a QMux start is recognised byte by byte', async (t) => {
  const { con, peer } = await acceptWire(t)
  await peer.dribble(STARTS['eight bytes'])
  await peer.expects(FIRST_RECORD)
  await eventually(() => con.protocol === 'qmux', 'the connection says so')
})

test('a QMux start after an early offer is ERR_MUX_QMUX_START', async (t) => {
  const { server, con, peer } = await acceptWire(t)
  con.StreamPool.createStream('early', () => {})
  await peer.offerQmux()
  const reported = nextEvent(server, 'connectionError')
  peer.send(STARTS['one byte'])
  assert.equal((await reported)[0].code, 'ERR_MUX_QMUX_START')
})

test("anything but a QMux start is ERR_MUX_NOT_QMUX with { protocol: 'qmux' }", async (t) => {
  for (const bytes of [offer(), hex('0000000a 00 02 6e756c6c'), offerQmux()]) {
    await serverRefuses(t, bytes, 'ERR_MUX_NOT_QMUX', { protocol: 'qmux' })
  }
})

test('what only begins like a QMux start is a legacy frame', async (t) => {
  // An unknown type 53 of 0x09ff5130 bytes: the first bytes 09 ff 51 agree with the magic, the fourth does not.
  const { server, con, peer } = await acceptWire(t)
  server.on('connectionError', assert.fail)
  peer.send('09ff5130 00 53')
  for (let count = 0; count < 4; count++) peer.send(Buffer.alloc(65536))
  await eventually(() => con.bytesRead === 6 + 4 * 65536, 'the payload is read')
  await eventually(() => con.stats().peer === 'old', 'the peer is known to be old')
  await turn()
  con.destroy()
})

test('an idle peer that stops in the middle of a possible QMux start is waited for', async (t) => {
  const { con, peer } = await acceptWire(t)
  peer.send('c0000000') // an eight-byte size, or a legacy frame of 3 GiB
  await eventually(() => con.bytesRead === 4, 'the bytes are read')
  assert.equal(con.destroyed, false)
  assert.equal(con.stats().peer, 'undecided')
})
