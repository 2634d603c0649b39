'use strict'

// A carrier that cuts, delays and holds up its chunks at random: what arrives is what was written, in both directions.

const test = require('node:test')
const assert = require('node:assert/strict')
const { createHash } = require('node:crypto')
const { Duplex } = require('node:stream')
const { carry } = require('../support/carried.js')
const { openPair } = require('../support/mux.js')
const { within } = require('../support/events.js')

const SEEDS = Number(process.env.MUX_TEST_SEEDS ?? 3)

// The numbers of a seed (mulberry32): a failure names the seed, and is seen again with it.
function dice (seed) {
  return () => {
    seed = seed + 0x6d2b79f5 | 0
    let t = Math.imul(seed ^ seed >>> 15, 1 | seed)
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t
    return ((t ^ t >>> 14) >>> 0) / 2 ** 32
  }
}

// Two ends of a stream that passes bytes on in pieces, at any time.
function roughPair (random) {
  const most = [1, 10, 1000, 100_000][Math.floor(random() * 4)]
  const later = (work) => {
    const way = random()
    if (way < 0.4) work()
    else if (way < 0.7) process.nextTick(work)
    else if (way < 0.95) setImmediate(work)
    else setTimeout(work, random() * 3)
  }
  class Rough extends Duplex {
    wanted = null

    _read () {
      const wanted = this.wanted
      this.wanted = null
      if (wanted !== null) later(wanted)
    }

    _write (chunk, encoding, done) {
      const step = () => {
        if (chunk.length === 0) return later(done)
        const length = Math.min(chunk.length, 1 + Math.floor(random() * most * (chunk.length > 50_000 ? 50 : 1)))
        const piece = Buffer.from(chunk.subarray(0, length))
        chunk = chunk.subarray(length)
        if (this.other.push(piece) || random() < 0.1) later(step)
        else this.other.wanted = step
      }
      step()
    }

    _final (done) {
      this.other.push(null)
      done()
    }
  }
  const highWaterMark = [1, 1000, 65536][Math.floor(random() * 3)]
  const ends = [new Rough({ highWaterMark }), new Rough({ highWaterMark })]
  ends[0].other = ends[1]
  ends[1].other = ends[0]
  return { ends, most }
}

// Writes random bytes, and reads them at a random pace. Both sides count the same.
async function pour ({ creator, acceptor }, random, total) {
  const [sent, received] = [createHash('sha1'), createHash('sha1')]
  const read = new Promise((resolve, reject) => {
    acceptor.on('data', (chunk) => {
      received.update(chunk)
      if (random() < 0.02) {
        acceptor.pause()
        setTimeout(() => acceptor.resume(), random() * 4)
      }
    })
    acceptor.on('end', resolve).on('error', reject)
  })
  let left = total
  while (left > 0) {
    const chunk = Buffer.alloc(Math.min(left, 1 + Math.floor(random() ** 4 * 100_000)), Math.floor(random() * 256))
    left -= chunk.length
    sent.update(chunk)
    if (!creator.write(chunk)) await new Promise((resolve) => creator.once('drain', resolve))
  }
  creator.end()
  acceptor.end()
  await read
  assert.equal(received.digest('hex'), sent.digest('hex'))
}

for (const protocol of ['auto', 'qmux', 'legacy']) {
  test(`random chunks and backpressure on ${protocol}`, { timeout: 300_000 }, async (t) => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = dice(seed)
      const options = { protocol, streamWindow: 1 + Math.floor(random() * 300_000), peer: 'new' }
      const { ends, most } = roughPair(random)
      const { client, con } = await carry(t, ends, { client: options, server: options })
      // So many pieces, and no more.
      const total = 1 + Math.floor(random() * Math.min(300_000, 3000 * most))
      const pairs = [await openPair(client, con), await openPair(con, client), await openPair(client, con)]
      const work = pairs.map((pair, index) => pour(pair, random, index < 2 ? total : 1000))
      await within(Promise.all(work), `seed ${seed} of ${protocol}`)
      const closed = Promise.all([client.connection, con].map((one) => new Promise((resolve) => one.once('close', resolve))))
      client.end()
      await within(closed, `the end of seed ${seed}`)
      assert.equal(con.bytesRead, client.connection.bytesWritten, `seed ${seed}`)
      assert.equal(con.bytesWritten, client.connection.bytesRead, `seed ${seed}`)
    }
  })
}
