'use strict'

// Attacks on memory over QMux. The server is in a process of its own. The bounds are those of its limits, and some MiB for
// what a collector of garbage leaves lying.

const test = require('node:test')
const assert = require('node:assert/strict')
const { besiege, down, frames: f, join, MiB, record, up, varint } = require('../support/qmux-wire.js')
const { pause, settled, turn } = require('../support/events.js')

const SPARE = 48 // MiB
const one = up(0)
// A server that opens streams before the peer has spoken starts on the legacy wire, unless it speaks QMux only.
const QMUX = { protocol: 'qmux' }

const times = (count, bytes) => join(...Array(count).fill(bytes))
// Frames of `data` in records, `count` in all.
const messages = (id, count, data) => times(Math.ceil(count / 1000), record(times(1000, f.message(id, data))))
const taken = ({ socket }) => socket.bytesWritten - socket.writableLength

// Answers pings late, so that the server takes the way for a long one and lets its windows grow; keeps count of limits.
function drag (peer, late, data = MiB) {
  const limits = { data, streams: 256 }
  const listen = async () => {
    for (;;) {
      const frame = await peer.next()
      if (frame.kind === 'maxData') limits.data = frame.limit
      if (frame.kind === 'maxStreams') limits.streams = frame.limit
      if (frame.kind === 'close') limits.closed = frame.code
      if (frame.kind === 'ping') setTimeout(() => peer.send(f.pong(frame.number)), late)
    }
  }
  listen().catch(() => {})
  return limits
}

test('records announced huge and sent byte by byte, on 100 connections', async (t) => {
  const server = await besiege(t, 'read')
  for (let count = 0; count < 100; count++) {
    const peer = await server.open()
    peer.wire.send(join(varint(65_552, 8), f.open(one), [0x38, 0], Buffer.alloc(100)))
    await peer.next('stream')
  }
  const { connections } = await server.stays(SPARE, '100 connections with a record each')
  assert.ok(connections >= 100)
  await server.servesOthers()
})

// All that was sent has been read, and delivered to the program; or the connection is over.
function digested (server, peer) {
  return server.until(({ connections, read }) => connections === 0 || read >= peer.socket.bytesWritten, 'all to be read')
}

test('messages of one byte to streams that nobody reads stay within what may be held', async (t) => {
  const server = await besiege(t, 'ignore', { maxHeld: 16 * MiB, streamWindow: 64 * 1024, connectionWindow: 128 * 1024 })
  const peer = await server.open()
  const limits = drag(peer, 0, 128 * 1024)
  let sent = 0
  const flood = async () => {
    for (let n = 0; n < 100 && !peer.socket.destroyed; n++) {
      peer.send(f.open(up(n)))
      sent += 5
      for (let round = 0; round < 60; round++, sent += 1000) {
        while (limits.data - sent < 2000 && !peer.socket.destroyed) await turn()
        await peer.write(messages(up(n), 1000, 'x'))
      }
    }
  }
  await Promise.race([flood(), settled(() => sent)])
  await digested(server, peer)
  // And a window of messages that count for 129 each.
  await server.stays(16 + 17 + SPARE, `${sent} messages of one byte`)
  await server.servesOthers()
})

test('windows that were made to grow do not let tiny messages in without a bound', async (t) => {
  const server = await besiege(t, 'ignore')
  const peer = await server.open()
  const limits = drag(peer, 600)
  // Metas are consumed on arrival.
  const meta = JSON.stringify('m'.repeat(250_000))
  let [sent, n] = [0, 0]
  const opening = join(varint(meta.length), meta)
  const end = Date.now() + 4000
  const goesOn = () => limits.data - sent < 24 * MiB && Date.now() < end
  while (goesOn()) {
    while (goesOn() && n < limits.streams && limits.data - sent > 300_000) {
      for (let at = 0; at < opening.length; at += 60_000) {
        await peer.write(record(f.message(up(n), opening.subarray(at, at + 60_000), { fin: at + 60_000 >= opening.length })))
      }
      n++
      sent += opening.length
    }
    await pause(10)
  }
  await server.measure()
  for (let count = 0; count < 12 && limits.data - sent > 300_000 && !peer.socket.destroyed; count++, n++) {
    await peer.write(join(record(f.open(up(n))), messages(up(n), 250_000, 'x')))
    sent += 250_005
  }
  await digested(server, peer)
  // maxHeld is 64 MiB.
  await server.stays(64 + 2 * SPARE, 'three million messages of one byte')
  await server.servesOthers()
})

for (const mode of ['ignore', 'nothing', 'read']) {
  test(`empty messages within their budget pile up nowhere (the program: ${mode})`, async (t) => {
    const server = await besiege(t, mode, { maxEmptyFrames: 2 ** 31 - 1, maxHeld: 16 * MiB })
    const peer = await server.open()
    peer.send(f.open(one))
    await peer.roundTrip(1)
    await server.measure()
    peer.discard()
    await Promise.race([peer.pour(100, messages(one, 10_000, '')), settled(() => taken(peer))])
    await digested(server, peer)
    await server.stays(16 + SPARE, 'a million messages of nothing')
    await server.servesOthers()
  })
}

test('a peer that never reads is answered with a bounded lot, whatever it asks for', async (t) => {
  const server = await besiege(t, 'read', { maxResets: 2 ** 31 - 1, maxPings: 2 ** 31 - 1, maxUselessFrames: 2 ** 31 - 1 })
  const kinds = {
    pings: (n) => f.ping(n),
    stops: (n) => f.stop(up(n % 256)),
    'streams opened and stopped': (n) => join(f.open(up(n % 256)), f.stop(up(n % 256))),
    'credit of one byte': (n) => f.maxStreamData(one, 2 ** 41 + n),
    'credit for all of one byte': (n) => f.maxData(2 ** 41 + n),
    'counts of streams': (n) => f.maxStreams(2 ** 41 + n)
  }
  for (const [what, frame] of Object.entries(kinds)) {
    await server.measure()
    const peer = await server.open()
    peer.wire.stopReading()
    let n = 0
    const flood = async () => {
      for (let count = 0; count < 300 && !peer.socket.destroyed; count++) {
        if (what === 'streams opened and stopped' && n >= 256) return
        await peer.write(record(...Array.from({ length: 64 }, () => frame(n++))))
      }
    }
    await Promise.race([flood(), settled(() => taken(peer))])
    const { queued } = await server.stays(SPARE, what)
    assert.ok(queued <= 512 * 1024, `${queued} bytes are queued for ${what}`)
    peer.wire.destroy()
  }
  await server.servesOthers()
})

test('a peer that grants a byte at a time and reads nothing makes nothing grow', async (t) => {
  const server = await besiege(t, 'flood', QMUX)
  const peer = await server.open({ parameters: { maxData: 100, maxStreamDataLocal: 100, maxStreamDataRemote: 100 } })
  const { id } = await peer.next('stream')
  assert.equal(id, down(0))
  peer.send(f.message(id, '\0'))
  peer.wire.stopReading()
  await server.measure()
  for (let limit = 101; limit < 20_000; limit += 50) {
    await peer.write(join(...Array.from({ length: 50 }, (_, n) => record(f.maxStreamData(id, limit + n), f.maxData(limit + n)))))
  }
  const { queued } = await server.stays(SPARE, 'byte by byte')
  assert.ok(queued <= 2 * MiB, `${queued} bytes are queued`)
  await server.servesOthers()
})

test('twenty peers that never read what is written to them hold a bounded queue each', async (t) => {
  const server = await besiege(t, 'flood', QMUX)
  for (let count = 0; count < 20; count++) {
    const peer = await server.open()
    const { id } = await peer.next('stream')
    peer.wire.stopReading()
    peer.send(f.message(id, '\0'))
  }
  await server.until(({ queued }) => queued > 0, 'the queues to be in use')
  const { queued } = await server.stays(20 * 2 + SPARE, 'twenty floods')
  assert.ok(queued <= 2 * MiB, `${queued} bytes are queued`)
})

// Each of `count` streams gets a part in turn, as credit allows, until the connection is over.
async function trickle (peer, limits, count, first, part) {
  let sent = 0
  for (let n = 0; n < count; n++) {
    const frames = first(n)
    sent += frames.reduce((sum, { length }) => sum + length, 0)
    peer.send(...frames)
  }
  for (let n = 0; n < 4 * count && !peer.socket.destroyed; n++) {
    while (limits.data - sent < part.length && !peer.socket.destroyed) await turn()
    sent += part.length
    await peer.write(record(f.message(up(n % count), part)))
  }
}

test('metas that trickle in on many streams at once are bounded in sum', async (t) => {
  const server = await besiege(t, 'read', { maxMetaTotal: 8 * MiB })
  const peer = await server.open()
  const limits = drag(peer, 0)
  // 3 MiB each are announced.
  await trickle(peer, limits, 200, (n) => [f.message(up(n), join(varint(3 * MiB), '"'))], Buffer.alloc(60_000, 'm'))
  const { errors } = await server.stays(8 * 2 + SPARE, 'metas in parts')
  assert.deepEqual([limits.closed, errors], [0x0a, { ERR_MUX_JSON_TOO_LARGE: 1 }])
  await server.servesOthers()
})

test('end values that trickle in on many streams at once are bounded in sum', async (t) => {
  const server = await besiege(t, 'read', { maxMetaTotal: 8 * MiB })
  const peer = await server.open()
  const limits = drag(peer, 0)
  const first = (n) => [f.open(up(n)), f.endValue(up(n)), f.message(up(n), '"')]
  await trickle(peer, limits, 200, first, Buffer.alloc(60_000, 'v'))
  const { errors } = await server.stays(8 * 2 + SPARE, 'end values in parts')
  assert.deepEqual([limits.closed, errors], [0x0a, { ERR_MUX_JSON_TOO_LARGE: 1 }])
  await server.servesOthers()
})

test('end values of streams that nobody reads are held like data', async (t) => {
  const server = await besiege(t, 'ignore', { maxHeld: 8 * MiB, maxEndValueSize: 200_000 })
  const peer = await server.open()
  const limits = drag(peer, 0)
  const value = JSON.stringify('v'.repeat(60_000))
  await server.measure()
  let [sent, n] = [0, 0]
  const flood = async () => {
    for (; n < 2000 && !peer.socket.destroyed; n++) {
      while ((n >= limits.streams || limits.data - sent < 70_000) && !peer.socket.destroyed) await pause(10)
      await peer.write(join(record(f.open(up(n), 'null', 'x'), f.endValue(up(n))), record(f.message(up(n), value, { fin: true }))))
      sent += value.length + 6
    }
  }
  await Promise.race([flood(), settled(() => n)])
  await server.stays(8 + SPARE, `${n} values of 60 KB`)
  await server.servesOthers()
})
