'use strict'

// COMPAT.md, "process life": what keeps a process alive, and what is delivered when it exits.

const test = require('node:test')
const assert = require('node:assert/strict')
const { startServer } = require('../support/mux.js')
const { nextEvent, collectBytes, within, pause, eventually } = require('../support/events.js')
const { listenWire } = require('../support/wire.js')
const { run } = require('../support/child.js')

// What ought to keep a process alive has had its chance to let it go.
const WHILE = 500

for (const [scenario, title] of [
  ['nothing', 'a process that only loads the package exits by itself'],
  ['closed-server', 'a process whose server is closed exits by itself'],
  ['unref-server', 'an unref\'d server does not keep the process'],
  ['ended-pair', 'a process whose client and server have ended exits by itself'],
  ['destroyed-pair', 'a process whose client and server were destroyed exits by itself'],
  ['failed-connect', 'a process whose connect failed exits by itself'],
  ['unref-pair', 'unref on server, client and connection lets the process go although all are open'],
  ['aborted', 'a process whose connect was given up exits by itself']
]) {
  test(title, async (t) => {
    const { code, stderr, stdout } = await run(t, 'process-life.js', [scenario]).exit()
    assert.equal(code, 0, stderr)
    assert.equal(stdout.trim().split('\n').at(-1), 'done')
  })
}

for (const [scenario, title] of [
  ['server', 'a listening server keeps the process'],
  ['ref-server', 'a server that is unref\'d and ref\'d again keeps the process'],
  ['pair', 'an open client keeps the process'],
  ['ref-pair', 'a client that is unref\'d and ref\'d again keeps the process']
]) {
  test(title, async (t) => {
    const child = run(t, 'process-life.js', [scenario])
    assert.equal(await child.line(), 'ready')
    await pause(WHILE)
    assert.equal(child.isOver, false)
    child.tell('close')
    const { code, stderr } = await child.exit()
    assert.equal(code, 0, stderr)
  })
}

test('a connecting client keeps the process until it is connected', async (t) => {
  const server = await startServer(t)
  const accepted = nextEvent(server, 'connection')
  const child = run(t, 'process-life.js', ['connecting', server.address().port])
  await accepted
  assert.equal(await child.line(), 'connected')
  assert.equal((await child.exit()).code, 0)
})

test('queued writes and an end() not yet sent keep the process until they are delivered', async (t) => {
  const server = await startServer(t)
  const received = new Promise((resolve) => server.on('connection', (con) => con.on('stream', (stream) => {
    resolve(collectBytes(stream))
  })))
  // It writes eight MiB in one go, ends, and has nothing else to do.
  const child = run(t, 'process-life.js', ['queued', server.address().port])
  const { code, stderr } = await child.exit()
  assert.equal(code, 0, stderr)
  assert.equal((await within(received, 'the bytes')).length, 8 * 1024 * 1024)
})

test('write() and process.exit() right behind it deliver everything, 100 times of 100', async (t) => {
  const server = await startServer(t)
  const messages = []
  server.on('connection', (con) => con.on('stream', (stream) => {
    stream.on('data', (chunk) => messages.push(String(chunk)))
  }))
  // Ten processes with ten connections each, all of which write once and exit in the same turn.
  for (let child = 0; child < 10; child++) {
    const { code, stderr } = await run(t, 'write-and-exit.js', [server.address().port, 10, child * 10]).exit()
    assert.equal(code, 7, stderr)
  }
  await eventually(() => messages.length === 100, 'a hundred messages have come')
  messages.sort((a, b) => a - b)
  assert.deepEqual(messages, Array.from({ length: 100 }, (_, index) => String(index)))
})

test('100 writes in a row, an end value and process.exit() deliver everything', async (t) => {
  const server = await startServer(t)
  const seen = []
  const ended = new Promise((resolve) => server.on('connection', (con) => con.on('stream', (stream) => {
    stream.on('data', (chunk) => seen.push(String(chunk)))
    stream.on('end', resolve)
  })))
  const child = run(t, 'process-life.js', ['burst-and-exit', server.address().port])
  assert.equal((await child.exit()).code, 3)
  assert.equal(String(await within(ended, 'the end')), '"over"')
  assert.deepEqual(seen, Array.from({ length: 100 }, (_, index) => `burst ${index}`))
})

test('process.exit() does not wait for a peer that reads nothing', async (t) => {
  const wire = await listenWire(t)
  const child = run(t, 'process-life.js', ['exit-unread', wire.port])
  const peer = await wire.next()
  const { id } = await peer.frameAfterOffer()
  peer.stopReading()
  peer.send(Buffer.from([0, 0, 0, 10, id, 4, ...Buffer.from('null')])) // ack
  assert.equal((await child.exit()).code, 0)
})
