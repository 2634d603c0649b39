'use strict'

// Our mapping of streams to QMux (docs/PROTOCOL.md), where the bytes come in pieces or the switch in between.

const test = require('node:test')
const assert = require('node:assert/strict')
const { MuxClient, startServer, watchClient } = require('../support/mux.js')
const { nextEvent, within } = require('../support/events.js')
const { connectWire, listenWire, frame, hex, record, offerQmux, switchTo, FIRST_RECORD } = require('../support/wire.js')

// A peer under a client of ours that has opened stream 0 with the meta null, which is not answered yet.
async function opened (t) {
  const wire = await listenWire(t)
  const client = await watchClient(t, new MuxClient({ port: wire.port, host: '127.0.0.1', protocol: 'qmux' }))
  const peer = await wire.next()
  await peer.expects(FIRST_RECORD)
  peer.send(FIRST_RECORD)
  const opening = client.StreamPool.createStream(null)
  await peer.expects('07 38 00 04 6e756c6c')
  return { peer, opening }
}

test('a refusal is understood wherever it is cut', async (t) => {
  const { peer, opening } = await opened(t)
  // 01, the code 1000, FIN
  peer.send(Buffer.concat([record('38 00 01'), record('38 00 43'), record('38 00 e8'), record('39 00')]))
  await assert.rejects(within(opening, 'the refusal'), { code: 'ERR_MUX_STREAM_REFUSED', refuseCode: 1000 })
})

test('a meta is understood wherever it is cut', async (t) => {
  const server = await startServer(t, { protocol: 'qmux' })
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port)
  const [con] = await accepted
  const announced = nextEvent(con, 'stream')
  peer.send(FIRST_RECORD)
  // A length of 9 in two bytes, and `"ab"` with white space around it.
  const bytes = [...hex('40 09 20 20 22 61 62 22 20 20 20')]
  await peer.dribble(Buffer.concat(bytes.map((byte) => record('38 00', Buffer.of(byte)))))
  assert.equal((await announced)[0].meta, 'ab')
})

test('going away before the peer\'s switch was read is told behind it', async (t) => {
  const server = await startServer(t, { protocol: 'auto' })
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port)
  peer.send(Buffer.concat([offerQmux('1112131415161718'), hex('0000000a ff 02 6e756c6c')]))
  const nonce = await peer.offerQmux()
  await peer.expects(switchTo('1112131415161718'))
  await peer.expects(FIRST_RECORD)
  await peer.expects('03 38 00 00')
  const [con] = await accepted
  con.goaway()
  con.StreamPool.createStream(null, () => {})
  await peer.expects('07 38 01 04 6e756c6c') // the command has been carried out
  peer.send(Buffer.concat([switchTo(nonce), hex(FIRST_RECORD)]))
  await peer.expects('02 3d 01')
})

// As FIRST_RECORD, but one stream may be opened.
const ONE_STREAM = '04 04 80100000  05 04 80040000  06 04 80040000  08 01 01  f254534d58000001 01 01'

test('streams that began before the switch live above the limit, and others wait', async (t) => {
  const wire = await listenWire(t)
  const client = await watchClient(t, new MuxClient({ port: wire.port, host: '127.0.0.1' }))
  const peer = await wire.next()
  const nonce = await peer.offerQmux()
  for (const id of ['ff', 'fe']) {
    client.StreamPool.createStream(null, () => {})
    await peer.expects(`0000000a ${id} 02 6e756c6c`)
  }
  peer.send(Buffer.concat([
    frame(0, 0xf0, hex(`54534d58 01 01 1112131415161718 1f ${ONE_STREAM}`)), switchTo(nonce),
    record(`ff5153300d0a0d0a 1f ${ONE_STREAM}`)
  ]))
  await peer.expects(switchTo('1112131415161718'))
  await peer.expects(FIRST_RECORD)
  client.StreamPool.createStream(null, () => {})
  await peer.expects('02 16 01') // STREAMS_BLOCKED at 1
  peer.send('02 12 03') // MAX_STREAMS 3: they count, too
  await peer.expects('07 38 08 04 6e756c6c')
})

test('streams that ended before the switch take no place of those behind it', async (t) => {
  const server = await startServer(t, { protocol: 'auto', maxIncomingStreams: 1 })
  server.on('connection', (con) => con.on('stream', (stream) => stream.resume()))
  const reported = nextEvent(server, 'connectionError')
  const peer = await connectWire(t, server.address().port)
  const ended = (id) => Buffer.concat([frame(id, 2, 'null'), frame(id, 3, 'null')])
  peer.send(Buffer.concat([offerQmux('1112131415161718'), ended(255), ended(254)]))
  const nonce = (await peer.frame()).payload.subarray(6, 14).toString('hex')
  await peer.expects(switchTo('1112131415161718'))
  const size = (await peer.bytes(1))[0]
  await peer.bytes(size) // its first record
  const acceptances = []
  while (acceptances.length < 2) {
    const frames = await peer.frames()
    acceptances.push(...frames.filter(({ type }) => (type & ~2) === 0x38).map(({ numbers }) => numbers[0]))
  }
  assert.deepEqual(acceptances, [0, 4])
  // One is allowed at first, and two ended before: the third may begin, and no fourth.
  peer.send(Buffer.concat([switchTo(nonce), hex(FIRST_RECORD), hex('07 38 08 04 6e756c6c')]))
  for (let accepted = false; !accepted;) {
    for (const { type, numbers } of await peer.frames()) {
      assert.notEqual(type, 0x12, 'no credit is given twice')
      accepted ||= (type === 0x38 || type === 0x3a) && numbers[0] === 8
    }
  }
  peer.send('07 38 0c 04 6e756c6c')
  assert.equal((await reported)[0].code, 'ERR_MUX_STREAM_COUNT')
})
