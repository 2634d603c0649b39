'use strict'

// Old peers at the other end of our server and our client, past the point where ours knows them to be old.

const { MuxClient, watchClient, startServer } = require('./mux.js')
const { connectWire, listenWire } = require('./wire.js')
const { nextEvent, eventually } = require('./events.js')

// An old client on a server of ours. Its first frame is one of an unknown type (09, empty): the server has no reason to
// offer anything any more, and nothing comes back.
async function oldClient (t, options) {
  const server = await startServer(t, options)
  return { server, ...await anotherOldClient(t, server) }
}

async function anotherOldClient (t, server) {
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port)
  peer.send('00000006 00 09')
  const [con] = await accepted
  await eventually(() => con.stats().peer === 'old', 'the server knows its peer to be old')
  return { peer, con }
}

// An old server under a client of ours, whose offer has been read.
async function oldServer (t, options) {
  const wire = await listenWire(t)
  const client = await watchClient(t, new MuxClient({ port: wire.port, host: '127.0.0.1', ...options }))
  const peer = await wire.next()
  if (options?.protocol !== 'legacy') await peer.frame()
  return { wire, client, peer }
}

module.exports = { oldClient, anotherOldClient, oldServer }
