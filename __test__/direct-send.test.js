'use strict'

// The option directSendLimit: which thread sends makes no difference to what arrives.

const test = require('node:test')
const assert = require('node:assert/strict')
const { createHash, randomBytes } = require('node:crypto')
const { connectPair, openPair } = require('./support/mux.js')
const { nextEvent, within } = require('./support/events.js')

const digest = (hash, bytes) => hash.update(bytes)
const content = [1, 100, 5000, 16_384, 40_000, 65_536, 300_000].map((length) => randomBytes(length))

for (const protocol of ['auto', 'legacy']) {
  for (const directSendLimit of [0, 1000, 2 ** 31 - 1]) {
    test(`everything arrives with protocol ${protocol} and a limit of ${directSendLimit}`, async (t) => {
      const options = { protocol, directSendLimit, peer: 'new' }
      const { client, con } = await connectPair(t, { client: options, server: options })
      const { creator, acceptor } = await openPair(client, con)
      const came = createHash('sha1')
      acceptor.on('data', (bytes) => digest(came, bytes))
      const ended = nextEvent(acceptor, 'end')
      const sent = createHash('sha1')
      for (let round = 0; round < 5; round++) {
        for (const bytes of content) {
          digest(sent, bytes)
          if (!creator.write(bytes)) await within(nextEvent(creator, 'drain'), 'the drain')
        }
      }
      creator.end()
      await ended
      assert.equal(came.digest('hex'), sent.digest('hex'))
    })
  }
}
