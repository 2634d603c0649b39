'use strict'

// Real load balancers in front of servers: HAProxy with send-proxy-v2 and its health checks, and nginx's stream module,
// which sends version 1. Where they are not installed, the tests say so and are skipped.

const test = require('node:test')
const { deepEqual, equal } = require('node:assert/strict')
const { spawn, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { startServer, MuxClient, freePort, openPair, temporaryFolder } = require('../support/mux.js')
const { cleanup } = require('../support/cleanup.js')
const { eventually, nextEvent, within } = require('../support/events.js')

const example = path.join(__dirname, '..', '..', 'examples', 'haproxy.cfg')
const trusted = ['127.0.0.1']

const skipWithout = (...commands) => {
  const missing = commands.find(([name, ...args]) => spawnSync(name, args).status !== 0)
  return missing === undefined ? false : `${missing.join(' ')} fails: not installed`
}
const HAPROXY = { skip: skipWithout(['haproxy', '-v']) }
// Debian has the stream module in a package of its own.
const MODULE = '/usr/lib/nginx/modules/ngx_stream_module.so'
const NGINX = { skip: skipWithout(['nginx', '-v'], ['test', '-e', MODULE]) }

function run (t, name, args) {
  const child = spawn(name, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text) => { said += text })
  const over = new Promise((resolve) => child.on('close', resolve))
  over.then((code) => { if (code) console.error(`${name} ended with ${code}: ${said}`) })
  cleanup(t, () => {
    child.kill('SIGKILL')
    return over
  })
}

async function reachable (port) {
  const tries = () => new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true) })
    socket.on('error', () => resolve(false))
  })
  let isReachable = false
  await eventually(() => {
    if (!isReachable) tries().then((value) => { isReachable ||= value })
    return isReachable
  }, `port ${port} is listened on`)
}

// A client whose own address and port the server should see.
async function dial (t, port) {
  const localPort = await freePort()
  const client = new MuxClient({ port, host: '127.0.0.1', localPort })
  cleanup(t, () => client.destroy())
  await nextEvent(client, 'connect')
  return { client, localPort }
}

// Servers behind a load balancer, and what happens to them.
async function backend (t) {
  const server = await startServer(t, { proxyProtocol: { trusted }, verifyConnection: () => true })
  const connections = []
  server.on('connection', (con) => connections.push(con))
  server.on('connectionError', (error) => { throw error })
  return { server, connections, port: server.address().port }
}

const clientsOf = ({ connections }, localPort) => connections.filter((con) => con.remotePort === localPort)

async function exchange (client, con) {
  const { creator, acceptor } = await openPair(client, con)
  acceptor.on('data', (data) => acceptor.end(data))
  const answer = nextEvent(creator, 'data')
  creator.end(Buffer.from('through'))
  equal(String((await answer)[0]), 'through')
}

test('HAProxy with the example configuration: clients are known, checks pass, a server is drained', HAPROXY, async (t) => {
  const folder = temporaryFolder(t)
  const [one, two, port] = [await backend(t), await backend(t), await freePort()]
  const control = `${folder}/haproxy.sock`
  const text = fs.readFileSync(example, 'utf8')
  for (const part of ['bind :12344', ':12345\n', ':12346\n', 'inter 2s', 'maxconn 8000', '/tmp/haproxy-mux.sock mode']) {
    equal(text.includes(part), true, part)
  }
  fs.writeFileSync(`${folder}/haproxy.cfg`, text.replace('bind :12344', `bind 127.0.0.1:${port}`)
    .replace(':12345\n', `:${one.port}\n`).replace(':12346\n', `:${two.port}\n`).replace('inter 2s', 'inter 100ms').replace('maxconn 8000', 'maxconn 100')
    .replace('/tmp/haproxy-mux.sock mode', `${control} mode`))
  run(t, 'haproxy', ['-db', '-f', `${folder}/haproxy.cfg`])
  await reachable(port)
  const tell = (command) => within(new Promise((resolve, reject) => {
    let said = ''
    net.connect(control).on('error', reject).on('data', (data) => { said += data }).on('close', () => resolve(said))
      .write(`${command}\n`)
  }), `the answer to ${command}`)

  // Checks are connections of HAProxy's own, whose header names no client, and which it resets at once. None of them is
  // an error of the server.
  let checked = ''
  const hasChecked = () => {
    tell('show stat').then((said) => { checked = said }, () => {})
    return ['one', 'two'].every((name) => new RegExp(`^mux,${name},.*,UP,.*,L4OK,`, 'm').test(checked))
  }
  await eventually(hasChecked, 'both servers are up')

  const clients = []
  for (let count = 0; count < 4; count++) {
    const { client, localPort } = await dial(t, port)
    await eventually(() => clientsOf(one, localPort).length + clientsOf(two, localPort).length === 1, 'a server has it')
    const [con] = [...clientsOf(one, localPort), ...clientsOf(two, localPort)]
    deepEqual([con.remoteAddress, con.localAddress, con.localPort], ['127.0.0.1', '127.0.0.1', port])
    await exchange(client, con)
    clients.push({ client, con })
  }
  // Drain: new connections go elsewhere, and the others go on.
  await tell('set server mux/one state drain')
  for (let count = 0; count < 3; count++) {
    const { localPort } = await dial(t, port)
    await eventually(() => clientsOf(two, localPort).length === 1, 'the other server has it')
  }
  for (const { client, con } of clients) await exchange(client, con)
  await tell('set server mux/one state ready')
})

test('nginx stream with proxy_protocol: clients are known', NGINX, async (t) => {
  const folder = temporaryFolder(t)
  const [one, port] = [await backend(t), await freePort()]
  fs.writeFileSync(`${folder}/nginx.conf`, `
    load_module ${MODULE};
    daemon off; pid ${folder}/nginx.pid; error_log stderr;
    events {}
    stream { server { listen 127.0.0.1:${port}; proxy_pass 127.0.0.1:${one.port}; proxy_protocol on; } }
  `)
  run(t, 'nginx', ['-p', folder, '-g', 'master_process off;', '-c', `${folder}/nginx.conf`])
  await reachable(port)
  const { client, localPort } = await dial(t, port)
  await eventually(() => clientsOf(one, localPort).length === 1, 'the server has it')
  const [con] = clientsOf(one, localPort)
  deepEqual([con.remoteAddress, con.localPort], ['127.0.0.1', port])
  await exchange(client, con)
})
