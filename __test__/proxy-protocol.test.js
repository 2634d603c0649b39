'use strict'

// A server behind a load balancer: literal headers, whole and cut, from peers that are trusted and from others.

const test = require('node:test')
const { deepEqual, equal, match, throws } = require('node:assert/strict')
const net = require('node:net')
const { startServer, MuxServer, temporaryFolder } = require('./support/mux.js')
const { cleanup } = require('./support/cleanup.js')
const { eventually, nextEvent, pause } = require('./support/events.js')

const trusted = ['127.0.0.1']
const V2 = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const v2 = (hex) => Buffer.concat([V2, Buffer.from(hex, 'hex')])

const V4 = ['203.0.113.7', 50000, 'IPv4', '198.51.100.1', 443, 'IPv4']
const V6 = ['2001:db8::7', 50000, 'IPv6', '2001:db8:1::1', 443, 'IPv6']
const HEADERS = {
  'v1 TCP4': [Buffer.from('PROXY TCP4 203.0.113.7 198.51.100.1 50000 443\r\n'), V4],
  'v1 TCP6': [Buffer.from('PROXY TCP6 2001:db8::7 2001:db8:1::1 50000 443\r\n'), V6],
  'v1 UNKNOWN': [Buffer.from('PROXY UNKNOWN\r\n'), undefined],
  'v2 TCP4': [v2('2111000ccb007107c6336401c35001bb'), V4],
  'v2 TCP6': [v2('2121002420010db800000000000000000000000720010db8000100000000000000000001c35001bb'), V6],
  'v2 TCP4 with fields': [v2('21110017cb007107c6336401c35001bb0100026832e00000050000'), V4],
  'v2 LOCAL': [v2('20000000'), undefined]
}

function dial (t, server, localAddress = '127.0.0.1') {
  const place = server.address()
  const socket = typeof place === 'string'
    ? net.connect(place)
    : net.connect({ port: place.port, host: '127.0.0.1', localAddress })
  cleanup(t, () => socket.destroy())
  return socket.on('error', () => {})
}

const endsOf = (con) => [con.remoteAddress, con.remotePort, con.remoteFamily, con.localAddress, con.localPort, con.localFamily]

for (const [name, [header, expected]] of Object.entries(HEADERS)) {
  test(`${name}: the client is known, however the header is cut, and nothing behind it is lost`, async (t) => {
    const infos = []
    const server = await startServer(t, {
      protocol: 'auto', proxyProtocol: { trusted }, verifyConnection (info) { infos.push(info); return true }
    })
    for (const cut of [header.length, 1, 5, header.length - 1]) {
      const failed = nextEvent(server, 'connectionError')
      const socket = dial(t, server).setNoDelay()
      await nextEvent(socket, 'connect')
      socket.write(header.subarray(0, cut))
      if (cut < header.length) await pause(10)
      const hello = Buffer.from('GET / HTTP/1.1\r\n\r\n')
      socket.write(Buffer.concat([header.subarray(cut), hello]))
      const [error, con] = await failed
      // The wire begins right behind the header.
      equal(error.code, 'ERR_MUX_WRONG_PROTOCOL')
      deepEqual([con.bytesRead, endsOf(con)], [hello.length,
        expected ?? ['127.0.0.1', socket.localPort, 'IPv4', '127.0.0.1', server.address().port, 'IPv4']])
      const { remoteAddress, localPort } = infos.pop()
      deepEqual([remoteAddress, localPort], [con.remoteAddress, con.localPort])
    }
  })

  test(`${name}: cut at each byte, by a FIN, a reset or silence, it is an error that names the load balancer`, async (t) => {
    const server = await startServer(t, { proxyProtocol: { trusted }, handshakeTimeout: 300 })
    const seen = []
    server.on('connection', () => seen.push('connection'))
    server.on('connectionError', (error, con) => seen.push([error.code, error.origin, con.remoteAddress, con.remotePort, con.destroyed]))
    for (const end of ['end', 'resetAndDestroy', 'ref']) {
      const sockets = []
      for (let cut = 1; cut < header.length; cut++) {
        const socket = dial(t, server)
        sockets.push(socket)
        socket.write(header.subarray(0, cut), () => setTimeout(() => socket[end](), 50))
      }
      await Promise.all(sockets.map((socket) => nextEvent(socket, 'connect')))
      const ports = sockets.map((socket) => socket.localPort)
      await eventually(() => seen.length === sockets.length, `${sockets.length} errors (${end})`)
      deepEqual(seen.sort((a, b) => a[3] - b[3]),
        ports.sort((a, b) => a - b).map((port) => ['ERR_MUX_PROXY_HEADER', 'peer', '127.0.0.1', port, true]))
      await eventually(() => sockets.every((socket) => socket.destroyed || socket.readableEnded || end === 'end'), 'all are closed')
      seen.length = 0
      sockets.forEach((socket) => socket.destroy())
    }
    equal(server._connections.size, 0)
  })
}

test('what is no header is told at once', async (t) => {
  const server = await startServer(t, { proxyProtocol: { trusted }, handshakeTimeout: 0 })
  server.on('connection', () => { throw new Error('connection') })
  for (const [bytes, message] of [
    ['GET', /did not begin with/], ['PROXYX', /did not begin with/], ['\r\n\r\nX', /did not begin with/],
    ['PROXY TCP9 1.2.3.4 1.2.3.4 1 1\r\n', /malformed/], [`PROXY UNKNOWN ${'x'.repeat(100)}`, /too long/],
    [v2('2111ffff'), /too long/], [v2('21110004c0a80001'), /malformed/]
  ]) {
    const failed = nextEvent(server, 'connectionError')
    const socket = dial(t, server)
    const closed = nextEvent(socket, 'close')
    socket.resume().write(bytes, 'latin1')
    const [error, con] = await failed
    equal(error.code, 'ERR_MUX_PROXY_HEADER')
    match(error.message, message)
    equal(con.readyState, 'closed')
    await closed
  }
})

test('a health check that only connects is no error', async (t) => {
  const server = await startServer(t, { proxyProtocol: { trusted } })
  for (const name of ['connection', 'connectionError', 'error']) server.on(name, () => { throw new Error(name) })
  for (const end of ['end', 'resetAndDestroy', 'destroy']) {
    const socket = dial(t, server)
    await nextEvent(socket, 'connect')
    socket[end]()
    await pause(30)
  }
  equal(server._connections.size, 0)
})

test('from others no header is looked for', async (t) => {
  const server = await startServer(t, { protocol: 'auto', proxyProtocol: { trusted: ['127.0.0.2', '::1/128', '10.0.0.0/8'] } })
  for (const [header] of Object.values(HEADERS)) {
    const failed = nextEvent(server, 'connectionError')
    const socket = dial(t, server)
    socket.write(header)
    socket.end()
    const [error, con] = await failed
    match(error.code, /^ERR_MUX_(?!PROXY)/)
    equal(con.remotePort, socket.localPort)
  }
})

test('the limits judge the client', async (t) => {
  const blockList = new net.BlockList()
  blockList.addAddress('203.0.113.66')
  const server = await startServer(t, { proxyProtocol: { trusted: ['127.0.0.0/8'] }, blockList, maxConnectionsPerAddress: 1 })
  const seen = []
  server.on('connection', (con) => seen.push(con.remoteAddress))
  server.on('drop', (data, error) => seen.push([data.remoteAddress, data.remotePort, error.code]))
  const from = async (client) => {
    const socket = dial(t, server)
    socket.resume().write(`PROXY TCP4 ${client} 198.51.100.1 50000 443\r\n`)
    return socket
  }
  await from('203.0.113.7')
  await eventually(() => seen.length === 1, 'the first is let in')
  await from('203.0.113.8')
  await eventually(() => seen.length === 2, 'another is let in')
  await nextEvent(await from('203.0.113.8'), 'close')
  await nextEvent(await from('203.0.113.66'), 'close')
  deepEqual(seen, ['203.0.113.7', '203.0.113.8', ['203.0.113.8', 50000, 'ERR_MUX_MAX_CONNECTIONS_PER_ADDRESS']])
})

test('a Unix socket has load balancers, too', async (t) => {
  const path = `${temporaryFolder(t)}/a.sock`
  const server = await startServer(t, { path, proxyProtocol: { trusted: ['unix:'] } })
  const accepted = nextEvent(server, 'connection')
  dial(t, server).write(HEADERS['v2 TCP4'][0])
  const [con] = await accepted
  deepEqual(endsOf(con), V4)
})

test('a server that closes does not wait for headers', async (t) => {
  const server = await startServer(t, { proxyProtocol: { trusted }, handshakeTimeout: 0 })
  server.on('connectionError', (error) => { throw error })
  const socket = dial(t, server)
  const gone = nextEvent(socket, 'close')
  socket.resume().write('PROXY')
  await pause(50)
  const closed = nextEvent(server, 'close')
  server.close()
  await Promise.all([gone, closed])
})

test('the list of trusted peers is required, and checked', () => {
  for (const proxyProtocol of [
    true, 'all', {}, { trusted: [] }, { trusted: '10.0.0.0/8' }, { trusted: ['10.0.0.0/33'] }, { trusted: ['::/129'] },
    { trusted: ['10.0.0.0/'] }, { trusted: ['10.0.0.0/8/8'] }, { trusted: ['host'] }, { trusted: [5] },
    { trusted: ['fe80::1%eth0'] }, { trusted: ['10.0.0.0/-1'] }, { trusted: [''] }
  ]) throws(() => new MuxServer({ port: 0, proxyProtocol }), { code: 'ERR_MUX_INVALID_ARG' }, JSON.stringify(proxyProtocol))
})
