'use strict'

// What is written at the exit of a process or of a worker arrives, and the connection ends in good order.

const test = require('node:test')
const assert = require('node:assert/strict')
const path = require('node:path')
const { Worker } = require('node:worker_threads')
const { startServer } = require('../support/mux.js')
const { nextEvent, within } = require('../support/events.js')
const { run } = require('../support/child.js')

// The bytes of the one stream, once its connection has closed. An 'error' of the connection fails the test.
async function received (server) {
  const [con] = await nextEvent(server, 'connection')
  const parts = []
  con.on('stream', (stream) => stream.on('error', () => {}).on('data', (data) => parts.push(data)))
  const closed = new Promise((resolve, reject) => con.on('close', resolve).on('error', reject))
  await within(closed, 'the close')
  return Buffer.concat(parts).toString()
}

for (const protocol of ['auto', 'legacy']) {
  test(`a listener of 'exit' that was added late may write: ${protocol}`, async (t) => {
    const server = await startServer(t)
    const came = received(server)
    const { code, stderr } = await run(t, 'late-writer.js', [server.address().port, protocol]).exit()
    assert.equal(code, 0, stderr)
    assert.equal(await came, 'abye')
  })

  test(`a worker that exits leaves no error behind: ${protocol}`, async (t) => {
    const server = await startServer(t)
    const write = 100_000
    for (let round = 0; round < 5; round++) {
      const came = received(server)
      const workerData = { port: server.address().port, protocol, write }
      const worker = new Worker(path.join(__dirname, '../fixtures/late-writer.js'), { workerData })
      await nextEvent(worker, 'exit')
      assert.equal((await came).length, write + 1 + 'bye'.length)
    }
  })
}
