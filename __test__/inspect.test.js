'use strict'

// What console.log() and util.inspect() show.

const test = require('node:test')
const assert = require('node:assert/strict')
const { inspect } = require('node:util')
const { MuxServer, connectPair, openPair, BOTH_LEGACY, Muxer } = require('./support/mux.js')
const { nextEvent, within } = require('./support/events.js')

const { MuxStream } = Muxer

const QMUX = { server: { protocol: 'auto' }, client: { protocol: 'auto' } }

const line = (value, options) => inspect(value, { breakLength: Infinity, ...options })

test('server, client and connection show where they are and what lives', async (t) => {
  const { server, client, con } = await connectPair(t, QMUX)
  await within(client.ping(), 'the ping')
  await openPair(client, con)
  const { port } = server.address()
  assert.equal(line(server), `MuxServer { address: '127.0.0.1:${port}', connections: 1 }`)
  const places = `local: '127.0.0.1:${port}', remote: '127.0.0.1:${con.remotePort}'`
  assert.equal(line(con), `Connection { ${places}, state: 'open', protocol: 'qmux', streams: 1 }`)
  assert.match(line(client), /^MuxClient \{ local: '127\.0\.0\.1:\d+', remote: '127.*state: 'open', .*, streams: 1 \}$/)
  const closed = nextEvent(con, 'close')
  con.on('error', () => {})
  con.destroy(Object.assign(new Error('mine'), { code: 'E_MINE' }))
  await closed
  assert.match(line(con), /state: 'closed', protocol: 'qmux', streams: 0, error: 'E_MINE' \}$/)
})

test('what is not connected or does not listen has no address', async (t) => {
  const client = new Muxer.MuxClient(1, '127.0.0.1')
  client.on('error', () => {})
  assert.equal(line(client), "MuxClient { state: 'opening', protocol: 'legacy', streams: 0 }")
  await nextEvent(client, 'close')
  assert.equal(line(client), "MuxClient { state: 'closed', protocol: 'legacy', streams: 0, error: 'ECONNREFUSED' }")
  const server = new MuxServer({ port: 0, host: '127.0.0.1' })
  const closed = nextEvent(server, 'close')
  server.close()
  await closed
  assert.equal(line(server), 'MuxServer { address: null, connections: 0 }')
})

test('a stream shows its id, its meta and the states of its halves', async (t) => {
  const { client, con } = await connectPair(t, QMUX)
  await within(client.ping(), 'the ping')
  const { creator, acceptor } = await openPair(client, con, { a: { b: { c: { d: 1 } } } })
  const meta = 'meta: { a: { b: [Object] } }'
  assert.equal(line(creator), `MuxStream { id: ${creator.id}, ${meta}, reading: 'waiting', writing: 'open' }`)
  acceptor.pause()
  assert.equal(line(acceptor), `MuxStream { id: ${acceptor.id}, ${meta}, reading: 'paused', writing: 'open' }`)
  const ended = nextEvent(acceptor, 'end')
  creator.end()
  assert.match(line(creator), /writing: 'ended' \}/)
  acceptor.resume()
  assert.match(line(acceptor), /reading: 'flowing'/)
  await ended
  assert.match(line(acceptor), /reading: 'ended'/)
  creator.on('error', () => {})
  creator.destroy(new Error('mine'))
  assert.match(line(creator), /destroyed: true, error: 'mine' \}$/)
})

test('on the legacy wire the half that is missing is none', async (t) => {
  const { client, con } = await connectPair(t, BOTH_LEGACY)
  const { creator, acceptor } = await openPair(client, con)
  assert.match(line(creator), /reading: 'none', writing: 'open' \}/)
  assert.match(line(acceptor), /reading: 'waiting', writing: 'none' \}/)
})

test('below the depth there is only the name, and a subclass has its own', async (t) => {
  class Mine extends MuxServer {}
  const { server, client, con } = await connectPair(t)
  const { creator } = await openPair(client, con)
  const all = [[server, 'MuxServer'], [client, 'MuxClient'], [con, 'Connection'], [creator, 'MuxStream']]
  for (const [each, name] of all) {
    assert.equal(line(each, { depth: -1 }), `[${name}]`)
    assert.equal(line({ in: { each } }, { depth: 1 }), `{ in: { each: [${name}] } }`)
    assert.ok(line(each, { depth: null }).startsWith(`${name} {`))
    assert.ok(line(each, { depth: 0 }).startsWith(`${name} {`))
  }
  const mine = new Mine({ port: 0, host: '127.0.0.1' })
  assert.match(line(mine), /^Mine \{ address/)
  mine.close()
})

test('it never throws', async (t) => {
  const { client, con } = await connectPair(t)
  const meta = { toJSON: () => 1, [inspect.custom] () { throw new Error('not to be looked at') } }
  const { creator } = await openPair(client, con, meta)
  assert.equal(line(creator), '[MuxStream]')
  for (const { prototype } of [Muxer.MuxServer, Muxer.MuxClient, Muxer.Connection, MuxStream]) inspect(prototype)
  for (const { prototype } of [Muxer.MuxServer, Muxer.MuxClient, Muxer.Connection, MuxStream]) {
    inspect(Object.create(prototype))
    inspect(Object.create(prototype, { constructor: { value: undefined } }))
  }
})

test('looking at a stream does not weigh its meta', async (t) => {
  const { client, con } = await connectPair(t, { server: { maxMetaTotal: 4096 } })
  const { acceptor } = await openPair(client, con, Array(1000).fill([]))
  const text = 3001
  assert.match(line(acceptor), new RegExp(`meta: '${text} characters of JSON'`))
  assert.equal(con.destroyed, false)
  const { acceptor: other } = await openPair(client, con, { short: 1 })
  assert.match(line(other), /meta: \{ short: 1 \}/)
})
