'use strict'

// Listeners that come late: to 'stream', on a connection that has streams already or has ended; to what a stream emits,
// where native code is done with it; and 'stream' listeners that return a promise.

const test = require('node:test')
const assert = require('node:assert/strict')
const { once } = require('node:events')
const { finished } = require('node:stream/promises')
const { connectPair, openPair } = require('../support/mux.js')
const { collect, eventually, nextEvent, turn, within } = require('../support/events.js')

const PROTOCOLS = ['auto', 'legacy']
const both = (options) => ({ server: options, client: options })

for (const protocol of PROTOCOLS) {
  test(`a 'stream' listener behind the end of the connection gets what came on streams that were cut off (${protocol})`,
    async (t) => {
      const { con, client } = await connectPair(t, both({ protocol }))
      const stream = await client.StreamPool.createStream(1)
      stream.write(Buffer.alloc(10_000, 7))
      client.end()
      await nextEvent(con, 'close')
      let bytes = 0
      const failed = new Promise((resolve) => con.on('stream', (stream) => {
        stream.on('data', (data) => { bytes += data.length }).on('error', resolve)
      }))
      assert.equal((await within(failed, "'error'")).code, 'ERR_MUX_CONNECTION_CLOSED')
      assert.equal(bytes, 10_000)
      assert.equal(con.stats().discardedStreams, 0)
    })

  test(`a 'stream' listener behind the end of the connection learns of streams that only had a meta (${protocol})`,
    async (t) => {
      const { con, client } = await connectPair(t, both({ protocol }))
      await client.StreamPool.createStream('open')
      const ended = await client.StreamPool.createStream('ended')
      ended.end()
      client.end()
      await nextEvent(con, 'close')
      const metas = []
      const closed = []
      con.on('stream', (stream) => {
        metas.push(stream.meta)
        closed.push(nextEvent(stream, 'close'))
      })
      await eventually(() => metas.length === 2, 'both')
      assert.deepEqual(metas, ['open', 'ended'])
      await Promise.all(closed)
    })

  test(`what no 'stream' listener comes for behind the end of the connection is counted (${protocol})`, async (t) => {
    const { con, client } = await connectPair(t, both({ protocol }))
    const stream = await client.StreamPool.createStream(1)
    stream.write(Buffer.alloc(10_000, 7))
    client.end()
    await nextEvent(con, 'close')
    await eventually(() => con.stats().discardedStreams === 1, 'the count')
    assert.equal(con.stats().discardedBytes, 10_000)
  })
}

test('streams that the peer gave up take no place among those that wait for a listener', async (t) => {
  const { con, client } = await connectPair(t, { server: { maxPendingStreams: 5 } })
  await client.ping()
  for (let number = 0; number < 10; number++) {
    const stream = await client.StreamPool.createStream(number)
    stream.reset(1)
    stream.stopSending()
    await nextEvent(stream, 'close')
  }
  await client.ping()
  await client.StreamPool.createStream('good')
  const [stream] = await nextEvent(con, 'stream')
  assert.equal(stream.meta, 'good')
  assert.equal(con.stats().discardedStreams, 0)
})

// Asynchronous listeners whose next step is up to the opener, which waits for its acknowledgement.
const WAITERS = {
  "'end'": async (stream) => { await once(stream, 'end') },
  "'close'": async (stream) => { await once(stream, 'close') },
  'finished()': async (stream) => { await finished(stream) },
  'another stream': async (stream, con) => { if (stream.meta === 0) await once(con, 'stream') },
  'its end, in a function that only returns the promise': (stream) => once(stream, 'end')
}

for (const [what, waiter] of Object.entries(WAITERS)) {
  test(`an asynchronous listener that waits for ${what} is no deadlock`, async (t) => {
    const { con, client } = await connectPair(t)
    await client.ping()
    con.on('stream', (stream) => waiter(stream, con))
    const streams = []
    for (let number = 0; number < 2; number++) {
      streams.push(await within(client.StreamPool.createStream(number), 'the acknowledgement'))
    }
    for (const stream of streams) stream.end()
    await eventually(() => streams.every((stream) => stream.destroyed), 'the end of both')
  })
}

test('refuse() after an await works in any function that returns a promise', async (t) => {
  const { con, client } = await connectPair(t)
  await client.ping()
  const judge = async (stream) => {
    await turn()
    stream.refuse(5)
  }
  con.once('stream', (stream) => judge(stream))
  await assert.rejects(client.StreamPool.createStream(1), { code: 'ERR_MUX_STREAM_REFUSED', refuseCode: 5 })
  con.on('stream', (stream) => judge(stream))
  await assert.rejects(client.StreamPool.createStream(2), { code: 'ERR_MUX_STREAM_REFUSED', refuseCode: 5 })
})

// What a stream of the peer's can be when native code is done with it and the program has not asked for its end.
const ENDINGS = {
  'the creator ended, nobody read': (creator) => { creator.end(Buffer.from('x')) },
  'the creator destroyed its stream, and this end wanted no more': (creator, acceptor) => {
    acceptor.stopSending()
    creator.destroy()
  },
  'both ends wanted no more': (creator, acceptor) => {
    acceptor.stopSending()
    creator.stopSending()
    creator.end()
  }
}

for (const protocol of PROTOCOLS) {
  for (const [what, end] of Object.entries(ENDINGS)) {
    for (const method of ['on', 'prependListener', 'prependOnceListener']) {
      for (const when of ['before', 'behind']) {
        test(`${method}('close') ${when} the end of the connection is called: ${what} (${protocol})`, async (t) => {
          const { con, client } = await connectPair(t, both({ protocol }))
          const { creator, acceptor } = await openPair(client, con)
          creator.on('error', () => {})
          end(creator, acceptor)
          if (protocol !== 'legacy') await client.ping()
          await turn()
          const listen = () => new Promise((resolve) => acceptor[method]('close', resolve))
          // On the legacy wire the one half is over by now.
          let closed = when === 'before' && !acceptor.destroyed ? listen() : undefined
          client.destroy()
          await nextEvent(con, 'close')
          await turn()
          // Behind it most have closed by themselves.
          if (closed === undefined && !acceptor.destroyed) closed = listen()
          await within(closed, "'close'")
        })
      }
    }
  }
}

test('a half that is not acknowledged yet gets its reader\'s bytes', async (t) => {
  const { con, client } = await connectPair(t)
  await client.ping()
  let seen
  con.on('stream', async (stream) => {
    await turn()
    seen = collect(stream)
  })
  const stream = await client.StreamPool.createStream(1)
  stream.end(Buffer.from('all of it'))
  assert.equal(String(Buffer.concat((await seen).chunks)), 'all of it')
})
