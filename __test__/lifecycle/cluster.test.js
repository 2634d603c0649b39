'use strict'

// Servers in the workers of a cluster.

const test = require('node:test')
const assert = require('node:assert/strict')
const net = require('node:net')
const { once } = require('node:events')
const { run } = require('../support/child.js')
const { MuxClient, MuxServer } = require('../..')

const isLinux = process.platform === 'linux'

async function freePort () {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

test('the workers of a cluster share a port, each but once', { skip: !isLinux }, async (t) => {
  const port = await freePort()
  assert.deepEqual(await run(t, 'cluster.js', [String(port)]).report(), [[port, 'EADDRINUSE'], [port, 'EADDRINUSE']])
})

test('a port that the system chooses is each worker\'s own', async (t) => {
  const [[one], [other]] = await run(t, 'cluster.js', ['0']).report()
  assert.ok(one > 0 && other > 0 && one !== other, `${one} and ${other}`)
})

test('elsewhere a port is shared by those who say so, and by nobody else', { skip: !isLinux }, async (t) => {
  const listen = async (options) => {
    const server = new MuxServer({ host: '127.0.0.1', ...options })
    t.after(() => server.close())
    await once(server, 'listening')
    return server
  }
  const alone = await listen({ port: 0 })
  await assert.rejects(listen({ port: alone.address().port, reusePort: true }), { code: 'EADDRINUSE' })
  const first = await listen({ port: 0, reusePort: true })
  const second = await listen({ port: first.address().port, reusePort: true })
  await assert.rejects(listen({ port: first.address().port }), { code: 'EADDRINUSE' })
  // Whoever is left has all the connections.
  first.close()
  await once(first, 'close')
  const client = new MuxClient({ port: second.address().port, host: '127.0.0.1' })
  t.after(() => client.destroy())
  await once(second, 'connection')
})
