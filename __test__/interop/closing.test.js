'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const { within, nextEvent, takeBytes } = require('../support/events.js')
const { connectPeer, everywhere, echo } = require('./peer.js')
const { Pattern } = require('./pattern.js')

everywhere(test, 'its close with a code is our error', async (t, arrangement) => {
  const { peer, con, closed } = await connectPeer(t, arrangement)
  const stream = await con.StreamPool.createStream(null)
  // What reaches its socket behind the close makes the kernel reset the connection, and its code may be lost.
  await peer.event('accepted')
  const streamClosed = nextEvent(stream, 'close')
  peer.command('close 77 enough of that')
  const error = await closed()
  assert.equal(error?.code, 'ERR_MUX_CLOSED_BY_PEER')
  assert.equal(error.closeCode, 77)
  assert.equal(error.application, true)
  await streamClosed
})

everywhere(test, 'its close with code 0 is no error', async (t, arrangement) => {
  const { peer, con, closed } = await connectPeer(t, arrangement)
  echo(con)
  assert.equal((await peer.ask('exchange 1 1000')).intact, 1)
  peer.command('close 0')
  assert.equal(await closed(), undefined)
})

everywhere(test, 'our close tells it code and reason', async (t, arrangement) => {
  const { peer, con, closed } = await connectPeer(t, arrangement)
  con.close(78, 'grüße')
  const { end, code, reason } = await peer.event('closed')
  assert.deepEqual({ end, code, reason }, { end: 'application-close', code: 78, reason: 'grüße' })
  assert.equal(await closed(), undefined)
})

everywhere(test, 'our end() is a close with code 0 behind all that was written', async (t, arrangement) => {
  const { peer, con, closed } = await connectPeer(t, arrangement, { theirs: { accept: 'hush', window: 16_384 } })
  const stream = await con.StreamPool.createStream(null)
  stream.end(new Pattern().take(1_000_000))
  con.end()
  const { bytes, intact } = await peer.event('read')
  assert.deepEqual({ bytes, intact }, { bytes: 1_000_000, intact: true })
  const { end, code } = await peer.event('closed')
  assert.deepEqual({ end, code }, { end: 'application-close', code: 0 })
  assert.equal(await closed(), undefined)
})

everywhere(test, 'our destroy() ends it at once', async (t, arrangement) => {
  const { peer, con, closed } = await connectPeer(t, arrangement)
  con.destroy()
  await peer.event('closed')
  assert.equal(await closed(), undefined)
})

everywhere(test, 'a peer that is killed leaves nothing open', async (t, arrangement) => {
  const { peer, con, closed } = await connectPeer(t, arrangement)
  const stream = await con.StreamPool.createStream(null)
  stream.write(Buffer.from('hello'))
  await takeBytes(stream, 5)
  const streamClosed = nextEvent(stream, 'close')
  peer.signal('SIGKILL')
  await closed()
  await streamClosed
})

everywhere(test, 'it answers our pings, those of one moment with one answer', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement)
  echo(con)
  const first = await within(con.ping(), 'a pong')
  assert.ok(first >= 0 && first < 30_000, `${first} ms`)
  // It answers the latest only when several wait: that answers them all.
  const load = peer.ask('exchange 2 1000000')
  const times = await within(Promise.all(Array.from({ length: 20 }, () => con.ping())), 'all pongs')
  assert.ok(times.every((ms) => ms >= 0 && ms < 30_000), `${times} ms`)
  assert.equal((await load).intact, 2)
})

everywhere(test, 'we answer its pings', async (t, arrangement) => {
  const { peer } = await connectPeer(t, arrangement, { theirs: { ping: 10 } })
  const { us } = await peer.ask('rtt')
  assert.ok(us > 0)
})

everywhere(test, 'a quiet connection outlives its idle timeout, by its pings', async (t, arrangement) => {
  const { peer, con } = await connectPeer(t, arrangement, { theirs: { idle: 600, ping: 0 } })
  // It pings a third of that after it last sent anything, and this waits for our first answer.
  await peer.ask('rtt')
  const before = con.stats().bytesRead
  await within(new Promise((resolve) => {
    // 10 bytes each, every 200 ms: twice as long as it lives without an answer of ours.
    const timer = setInterval(() => {
      if (con.stats().bytesRead < before + 60) return
      clearInterval(timer)
      resolve()
    }, 20)
  }), 'more pings')
  echo(con)
  assert.equal((await peer.ask('exchange 1 1000')).intact, 1)
})

everywhere(test, 'our idle timeout ends a connection whose other end hangs', async (t, arrangement) => {
  const { peer, closed } = await connectPeer(t, arrangement, { ours: { idleTimeout: 500 } })
  peer.signal('SIGSTOP')
  await closed()
})
