'use strict'

// Servers in the workers of a cluster, where the primary process listens, as it does for net.

const test = require('node:test')
const { deepEqual, equal, match, ok, rejects } = require('node:assert/strict')
const { once } = require('node:events')
const path = require('node:path')
const { run } = require('../support/child.js')
const { collectBytes } = require('../support/events.js')
const { identity } = require('../support/tls.js')
const { freePort, openClient, startServer, temporaryFolder, watchClient, MuxClient, MuxServer } = require('../support/mux.js')

const isLinux = process.platform === 'linux'
const skip = process.platform === 'win32'
const host = '127.0.0.1'

function start (t, options, policy) {
  return run(t, 'cluster.js', [JSON.stringify({ policy, options: { host, ...options } })])
}

// The values of the next two lines, which both workers print, by worker.
async function fromBoth (cluster, expected) {
  const told = {}
  for (let i = 0; i < 2; i++) {
    const [id, what, value] = await cluster.report()
    equal(what, expected, JSON.stringify(value))
    told[id] = value
  }
  return [told[1], told[2]]
}

// What the worker says who has the connection of a new client, which stays.
async function ask (t, place) {
  const client = await watchClient(t, new MuxClient(typeof place === 'string' ? { path: place } : { host, port: place }))
  return { client, ...await askAgain(client, 'who') }
}

async function askAgain (client, meta) {
  return JSON.parse(await collectBytes(await client.StreamPool.createStream(meta)))
}

for (const policy of ['round robin', 'none']) {
  test(`a port that the system chooses is one for all workers, and each gets connections: ${policy}`, { skip }, async (t) => {
    const cluster = start(t, { port: 0 }, policy)
    const [one, other] = await fromBoth(cluster, 'listening')
    deepEqual(one, other)
    equal(one.address, host)
    const ids = []
    for (let i = 0; i < 6; i++) {
      const { client, id, meta, from, to } = await ask(t, one.port)
      ids.push(id)
      deepEqual([meta, from, to], ['who', client.connection.localPort, one.port])
    }
    if (policy === 'round robin') deepEqual(ids.sort(), [1, 1, 1, 2, 2, 2])
  })
}

test('workers share a port, each but once', { skip }, async (t) => {
  const port = await freePort()
  const cluster = start(t, { port })
  await fromBoth(cluster, 'listening')
  cluster.tell('[1, "again"]')
  const [, what, error] = await cluster.report()
  equal(what, 'error')
  // The words of net.
  deepEqual([error.code, error.syscall, error.port], ['EADDRINUSE', 'bind', port])
  match(error.message, /EADDRINUSE/)
})

test('an address that is in use elsewhere is an error in every worker', { skip }, async (t) => {
  const { port } = (await startServer(t)).address()
  const errors = await fromBoth(start(t, { port }), 'error')
  deepEqual(errors.map(({ code }) => code), ['EADDRINUSE', 'EADDRINUSE'])
})

test('a certificate that cannot be used is an error in every worker, and nobody listens', { skip }, async (t) => {
  const port = await freePort()
  const tls = { cert: `${identity('server').cert}`, key: `${identity('client').key}` }
  const errors = await fromBoth(start(t, { port, tls }), 'error')
  deepEqual(errors.map(({ code }) => code), Array(2).fill('ERR_OSSL_X509_KEY_VALUES_MISMATCH'))
  await startServer(t, { port })
})

test('a server that closes leaves the others, and its connections go on', { skip }, async (t) => {
  const cluster = start(t, { port: 0 })
  const [{ port }] = await fromBoth(cluster, 'listening')
  const first = await ask(t, port)
  cluster.tell(`[${first.id}, "close"]`)
  // Its connection keeps it from the end.
  for (let i = 0; i < 4; i++) equal((await ask(t, port)).id, 3 - first.id)
  equal((await askAgain(first.client, 'still there')).meta, 'still there')
  first.client.end()
  deepEqual((await cluster.report()).slice(0, 2), [first.id, 'close'])
})

test('a worker that disconnects waits for its connections', { skip }, async (t) => {
  const cluster = start(t, { port: 0 })
  const [{ port }] = await fromBoth(cluster, 'listening')
  const { id, client } = await ask(t, port)
  cluster.tell(`[${id}, "disconnect"]`)
  for (let i = 0; i < 3; i++) equal((await ask(t, port)).id, 3 - id)
  equal((await askAgain(client, 'still there')).meta, 'still there')
  client.end()
  deepEqual((await cluster.report()).slice(0, 2), [id, 'close'])
  deepEqual(await cluster.report(), [id, 'exit', 0])
})

test('maxConnections counts per worker, and \'drop\' tells of the others', { skip }, async (t) => {
  const cluster = start(t, { port: 0, maxConnections: 1 })
  const [{ port }] = await fromBoth(cluster, 'listening')
  for (let i = 0; i < 2; i++) await ask(t, port)
  const third = new MuxClient({ host, port }).on('error', () => {})
  t.after(() => third.destroy())
  const [, ...told] = await cluster.report()
  deepEqual(told, ['drop', 'ERR_MUX_MAX_CONNECTIONS'])
})

test('workers share a Unix domain socket', { skip }, async (t) => {
  const place = path.join(temporaryFolder(t), 'socket')
  deepEqual(await fromBoth(start(t, { path: place }), 'listening'), [place, place])
  const ids = []
  for (let i = 0; i < 4; i++) ids.push((await ask(t, place)).id)
  deepEqual(ids.sort(), [1, 1, 2, 2])
})

test('a server with `exclusive` shares nothing', { skip }, async (t) => {
  const [one, other] = await fromBoth(start(t, { port: 0, exclusive: true }), 'listening')
  ok(one.port !== other.port)
})

test('with `reusePort` each worker listens by itself', { skip: !isLinux }, async (t) => {
  const port = await freePort()
  await fromBoth(start(t, { port, reusePort: true }), 'listening')
  await ask(t, port)
})

test('a worker whose server is not to keep it ends', { skip }, async (t) => {
  const cluster = start(t, { port: 0 })
  await fromBoth(cluster, 'listening')
  cluster.tell('[1, "unref"]')
  cluster.tell('[1, "leave"]')
  deepEqual(await cluster.report(), [1, 'exit', 0])
})

test('elsewhere a port is shared by those who say so, and by nobody else', { skip: !isLinux }, async (t) => {
  const listen = async (options) => {
    const server = new MuxServer({ host, ...options })
    t.after(() => server.close())
    await once(server, 'listening')
    return server
  }
  const alone = await listen({ port: 0 })
  await rejects(listen({ port: alone.address().port, reusePort: true }), { code: 'EADDRINUSE' })
  const first = await listen({ port: 0, reusePort: true })
  const second = await listen({ port: first.address().port, reusePort: true })
  await rejects(listen({ port: first.address().port }), { code: 'EADDRINUSE' })
  // Whoever is left has all the connections.
  first.close()
  await once(first, 'close')
  await Promise.all([once(second, 'connection'), openClient(t, second)])
})
