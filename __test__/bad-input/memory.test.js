'use strict'

// Attacks on memory. The server is in a process of its own, so that what it takes can be told from what the attacker takes.

const test = require('node:test')
const assert = require('node:assert/strict')
const { MuxClient, watchClient } = require('../support/mux.js')
const { connectWire, hex, frame } = require('../support/wire.js')
const { nextEvent, within, settled, pause } = require('../support/events.js')
const { run } = require('../support/child.js')

const MiB = 1024 * 1024

async function serverProcess (t, mode, options = {}) {
  const child = run(t, 'server.js', [mode, JSON.stringify(options)], { execArgv: ['--expose-gc'] })
  const port = Number(await child.line())
  const report = () => {
    child.tell('report')
    return child.report()
  }
  return {
    port,
    report,
    // What a peer has seen of its own end the server's JavaScript may learn a moment later.
    reportWhen (predicate, what) {
      return within((async () => {
        for (;;) {
          const found = await report()
          if (predicate(found)) return found
          await pause(10)
        }
      })(), what)
    }
  }
}

// The server still takes a stream of a client that comes now.
async function servesOthers (t, port) {
  const client = await watchClient(t, new MuxClient(port, '127.0.0.1'))
  const stream = await within(client.StreamPool.createStream('another'), 'the acknowledgement')
  await within(new Promise((resolve) => stream.end(Buffer.from('served'), resolve)), 'the end')
  const closed = nextEvent(client, 'close')
  client.end()
  await closed
}

// Writes until all is written or the connection is over.
async function pour ({ socket }, total, chunkOf) {
  for (let given = 0; given < total && !socket.destroyed;) {
    const chunk = chunkOf()
    given += chunk.length
    if (!socket.write(chunk)) {
      await new Promise((resolve) => {
        const go = () => {
          socket.removeListener('drain', go).removeListener('close', go)
          resolve()
        }
        socket.on('drain', go).on('close', go)
      })
    }
  }
}

test('announced lengths take no memory: 200 connections with four GiB each', async (t) => {
  const { port, report } = await serverProcess(t, 'read')
  await servesOthers(t, port)
  const before = await report()
  for (let count = 0; count < 200; count++) {
    const peer = await connectWire(t, port)
    peer.send(`00000007 00 02 31  ffffffff 00 0${count % 2 ? 0 : 9}`).send(Buffer.alloc(10_000))
    await peer.expects('0000000a 00 04 6e756c6c')
  }
  const after = await report()
  assert.equal(after.connections, 200)
  assert.ok(after.rss - before.rss < 64 * MiB, `${(after.rss - before.rss) / MiB} MiB`)
  await servesOthers(t, port)
})

test('a thousand malformed connections leave no memory behind', async (t) => {
  const { port, reportWhen } = await serverProcess(t, 'read')
  const bad = [
    hex('00000000 00 00'),
    frame(0, 0, 'unknown'),
    Buffer.concat([frame(0, 2, '1'), frame(0, 2, '2')]),
    frame(0, 2, '['.repeat(100_000)),
    frame(0, 2, 'x'.repeat(100_000))
  ]
  const round = async (count) => {
    for (let index = 0; index < count; index++) {
      const peer = await connectWire(t, port)
      peer.send(bad[index % bad.length])
      await within(peer.closed, 'the connection to close')
    }
  }
  const noneIsOpen = ({ connections }) => connections === 0
  await round(100)
  const before = await reportWhen(noneIsOpen, 'the connections to close')
  await round(1000)
  const after = await reportWhen(noneIsOpen, 'the connections to close')
  assert.deepEqual(Object.keys(after.errors).sort(), [
    'ERR_MUX_FRAME_LENGTH', 'ERR_MUX_JSON_INVALID', 'ERR_MUX_JSON_TOO_DEEP', 'ERR_MUX_STREAM_IN_USE', 'ERR_MUX_UNKNOWN_STREAM'
  ])
  assert.ok(Object.values(after.errors).every((count) => count === 220))
  assert.ok(after.rss - before.rss < 32 * MiB, `${(after.rss - before.rss) / MiB} MiB`)
})

test('a peer that never reads what it asks for holds a bounded queue', async (t) => {
  const { port, report } = await serverProcess(t, 'flood')
  const before = await report()
  const peers = []
  for (let count = 0; count < 20; count++) {
    const peer = await connectWire(t, port)
    await peer.frame() // the offer
    const { id, text } = await peer.frame()
    assert.equal(text, '"flood"')
    peer.stopReading()
    peer.send(frame(id, 4, 'null'))
    peers.push(peer)
  }
  await servesOthersOnFlood(t, port)
  const after = await report()
  assert.ok(after.queued <= 2 * MiB, `${after.queued} bytes queued on one connection`)
  assert.ok(after.rss - before.rss < 96 * MiB, `${(after.rss - before.rss) / MiB} MiB`)
  for (const peer of peers) peer.destroy()
})

// On a flooding server: a client that does read gets its flood.
async function servesOthersOnFlood (t, port) {
  const client = new MuxClient(port, '127.0.0.1')
  const announced = nextEvent(client, 'stream')
  await watchClient(t, client)
  const [stream] = await announced
  let size = 0
  await within(new Promise((resolve) => stream.on('data', (chunk) => {
    size += chunk.length
    if (size > 16 * MiB) resolve()
  })), '16 MiB of flood')
  client.destroy()
}

test('a peer that never reads its acknowledgements queues no more than a bounded number of them', async (t) => {
  const { port, report } = await serverProcess(t, 'read')
  await servesOthers(t, port)
  const before = await report()
  const peer = await connectWire(t, port)
  peer.stopReading()
  // new stream, end: 23 bytes for which ten of acknowledgement are owed
  const openAndEnd = Buffer.concat(Array(2000).fill(hex('0000000a 00 02 6e756c6c  0000000a 00 03 6e756c6c')))
  // All of it is taken, or the server stops reading: both are fine, as long as it is bounded.
  const taken = () => peer.socket.bytesWritten - peer.socket.writableLength
  await Promise.race([pour(peer, 96 * MiB, () => openAndEnd), settled(taken)])
  const after = await report()
  assert.ok(after.queued <= 4 * MiB, `${after.queued} bytes of acknowledgements are queued`)
  // What JavaScript needs for tens of thousands of streams a second is part of it.
  assert.ok(after.rss - before.rss < 128 * MiB, `${(after.rss - before.rss) / MiB} MiB`)
  await servesOthers(t, port)
  if (!peer.socket.destroyed) {
    // Nothing was lost by waiting: it reads again, and goes on.
    peer.startReading()
    await peer.expects('0000000a 00 04 6e756c6c')
  }
})

test('streams that are opened and never ended stay within 256, and their data within its limit', async (t) => {
  const { port, report } = await serverProcess(t, 'ignore')
  await servesOthers(t, port)
  const before = await report()
  const peer = await connectWire(t, port)
  for (let id = 0; id < 256; id++) peer.send(frame(id, 2, 'null'))
  await peer.bytes(2560)
  // Two MiB into each of them: half a GiB, if nothing bounded it.
  let turn = 0
  const block = Buffer.alloc(65536)
  await within(pour(peer, 512 * MiB, () => frame(turn++ % 256, 0, block)), 'half a GiB to be taken')
  const after = await report()
  assert.ok(after.read > 480 * MiB, `only ${after.read} bytes were read`)
  // 256 KiB unclaimed for each of 256 streams are 64 MiB, at the most.
  assert.ok(after.rss - before.rss < 160 * MiB, `${(after.rss - before.rss) / MiB} MiB`)
  await servesOthers(t, port)
})

test('a flood of tiny frames is read no faster than it is delivered', async (t) => {
  const { port, report, reportWhen } = await serverProcess(t, 'read')
  await servesOthers(t, port)
  const before = await report()
  const peer = await connectWire(t, port)
  peer.send(frame(0, 2, 'null'))
  await peer.expects('0000000a 00 04 6e756c6c')
  const empties = Buffer.concat(Array(10_000).fill(hex('00000006 00 00')))
  for (let count = 0; count < 300; count++) {
    await new Promise((resolve) => peer.socket.write(empties, resolve))
  }
  peer.send('0000000a 00 03 6e756c6c')
  peer.finish()
  await within(peer.closed, 'the connection to close')
  const after = await reportWhen(({ ends }) => ends === before.ends + 1, 'the end of the stream')
  assert.deepEqual(after.errors, {})
  assert.ok(after.rss - before.rss < 96 * MiB, `${(after.rss - before.rss) / MiB} MiB`)
})

test('many large metas at once are bounded by their own size', async (t) => {
  const { port, report } = await serverProcess(t, 'read')
  await servesOthers(t, port)
  const peer = await connectWire(t, port)
  const meta = JSON.stringify('m'.repeat(1 * MiB))
  const before = await report()
  for (let round = 0; round < 100; round++) {
    peer.send(frame(0, 2, meta)).send('0000000a 00 03 6e756c6c')
    await peer.expects('0000000a 00 04 6e756c6c')
  }
  const after = await report()
  assert.equal(after.streams, before.streams + 100)
  assert.ok(after.rss - before.rss < 96 * MiB, `${(after.rss - before.rss) / MiB} MiB`)
})

test('a flood of empty frames that nobody reads is kept within what 256 limits come to', async (t) => {
  const { port, report, reportWhen } = await serverProcess(t, 'ignore')
  await servesOthers(t, port)
  const before = await report()
  const peer = await connectWire(t, port)
  const allIsRead = ({ read }) => read >= peer.socket.bytesWritten
  for (let id = 0; id < 256; id++) {
    peer.send(frame(id, 2, 'null'))
    // A few less than a limit of 256 KiB takes.
    const empties = Buffer.concat(Array(2000).fill(frame(id, 0)))
    await new Promise((resolve) => peer.socket.write(empties, resolve))
  }
  await peer.bytes(2560)
  let after = await reportWhen(allIsRead, 'all to be read')
  assert.equal(after.streams, before.streams + 256)
  assert.ok(after.rss - before.rss < 128 * MiB, `${(after.rss - before.rss) / MiB} MiB`)
  // More of them: the streams are discarded, and their memory is given back.
  for (let id = 0; id < 256; id++) {
    await new Promise((resolve) => peer.socket.write(Buffer.concat(Array(16_000).fill(frame(id, 0))), resolve))
  }
  after = await reportWhen(allIsRead, 'all of it to be read')
  assert.ok(after.rss - before.rss < 128 * MiB, `${(after.rss - before.rss) / MiB} MiB`)
  await servesOthers(t, port)
})
