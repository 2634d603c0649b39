'use strict'

// A server under attack, and a well-behaved client of it that never stops exchanging messages meanwhile.

const assert = require('node:assert/strict')
const { startServer, openClient, openPair } = require('./mux.js')
const { connectWire } = require('./wire.js')
const { nextEvent, within, eventually } = require('./events.js')
const { cleanup } = require('./cleanup.js')

// One number at a time goes up on one stream and comes back on another: each round trip is counted.
async function keepHealthy (t, server) {
  const accepted = nextEvent(server, 'connection')
  const client = await openClient(t, server)
  const [con] = await accepted
  const up = await openPair(client, con, 'up')
  const down = await openPair(con, client, 'down')
  let sent = 0
  let timer
  let stopped = false
  const wrong = []
  client.on('error', (error) => wrong.push(error))
  con.on('error', (error) => wrong.push(error))
  con.on('close', () => stopped || wrong.push(new Error('the healthy connection closed')))
  up.acceptor.on('data', (chunk) => down.creator.write(chunk))
  down.acceptor.on('data', (chunk) => {
    if (Number(chunk) !== sent) wrong.push(new Error(`${chunk} came back, ${sent} was sent`))
    timer = setTimeout(next, 1)
  })
  function next () {
    if (!stopped) up.creator.write(++sent)
  }
  next()
  cleanup(t, () => {
    stopped = true
    clearTimeout(timer)
  })
  return {
    con,
    async check () {
      const goal = sent + 3
      await eventually(() => sent >= goal || wrong.length > 0, 'the healthy connection goes on')
      assert.deepEqual(wrong, [])
    }
  }
}

// The arena of a test: `attack(bytes)` opens a connection of its own and sends them; it resolves when that connection is
// over, with the error the server reported (undefined if none), and checks that nobody else noticed.
async function arena (t, options) {
  const server = await startServer(t, options)
  server.on('error', (error) => assert.fail(error))
  const healthy = await keepHealthy(t, server)
  const errors = new Map()
  server.on('connectionError', (error, con) => errors.set(con, error))

  async function connect ({ onStream } = {}) {
    const accepted = nextEvent(server, 'connection')
    const peer = await connectWire(t, server.address().port)
    const [con] = await accepted
    if (onStream) con.on('stream', onStream)
    return { peer, con, closed: nextEvent(con, 'close') }
  }

  async function attack (bytes, { finish = false, onStream } = {}) {
    const { peer, con, closed } = await connect({ onStream })
    peer.send(bytes)
    if (finish) peer.finish()
    const [hadError] = await closed
    await within(peer.closed, 'the attacker to be cut off')
    const error = errors.get(con)
    assert.equal(hadError, error !== undefined)
    if (error !== undefined) {
      assert.ok(error instanceof Error)
      assert.ok(error.message.length > 0)
    }
    return error
  }

  async function refuses (bytes, code, attackOptions) {
    const error = await attack(bytes, attackOptions)
    assert.equal(error?.code, code, `for ${Buffer.isBuffer(bytes) ? bytes.toString('hex', 0, 64) : bytes}`)
    assert.equal(error.origin, 'peer')
  }

  return { server, healthy, connect, attack, refuses, errors }
}

module.exports = { keepHealthy, arena }
