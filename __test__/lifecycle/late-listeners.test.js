'use strict'

// Listeners that come late: to 'stream', on a connection that has streams already or has ended; to what a stream emits,
// where native code is done with it; and 'stream' listeners that return a promise.

const test = require('node:test')
const assert = require('node:assert/strict')
const { once } = require('node:events')
const { finished } = require('node:stream/promises')
const { connectPair, openPair } = require('../support/mux.js')
const { collect, eventually, nextEvent, turn, uncaught, within } = require('../support/events.js')

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
  'its end, without a word of its own': async (stream) => once(stream, 'end')
}

for (const [what, waiter] of Object.entries(WAITERS)) {
  test(`an asynchronous listener that waits for ${what} is no deadlock`, async (t) => {
    const { con, client } = await connectPair(t)
    await client.ping()
    con.on('stream', async (stream) => waiter(stream, con))
    const streams = []
    for (let number = 0; number < 2; number++) {
      streams.push(await within(client.StreamPool.createStream(number), 'the acknowledgement'))
    }
    for (const stream of streams) stream.end()
    await eventually(() => streams.every((stream) => stream.destroyed), 'the end of both')
  })
}

test('refuse() after an await works in a listener that is called once, too', async (t) => {
  const { con, client } = await connectPair(t)
  await client.ping()
  const judge = async (stream) => {
    await turn()
    stream.refuse(5)
  }
  for (const method of ['once', 'prependOnceListener', 'on']) {
    con[method]('stream', judge)
    await assert.rejects(client.StreamPool.createStream(1), { code: 'ERR_MUX_STREAM_REFUSED', refuseCode: 5 })
    con.off('stream', judge)
    assert.equal(con.listenerCount('stream'), 0)
  }
})

for (const listener of [() => {}, async () => {}]) {
  test(`'stream' listeners are those of any emitter (${listener.constructor.name})`, async (t) => {
    const { con, client } = await connectPair(t)
    for (const emitter of [con, client]) {
      for (const method of ['on', 'once', 'addListener', 'prependListener', 'prependOnceListener']) {
        const told = []
        emitter.once('newListener', (event, added) => told.push(added))
        emitter[method]('stream', listener)
        assert.deepEqual([...told, ...emitter.listeners('stream')], [listener, listener])
        assert.equal(emitter.listenerCount('stream', listener), 1)
        emitter.removeListener('stream', listener)
        assert.equal(emitter.listenerCount('stream'), 0)
      }
    }
    const controller = new AbortController()
    const waiting = once(con, 'stream', { signal: controller.signal })
    controller.abort()
    await assert.rejects(waiting, { name: 'AbortError' })
    assert.equal(con.listenerCount('stream'), 0)
  })
}

test('a listener that throws for the last stream that waited does not make the connection deaf', async (t) => {
  const { con, client } = await connectPair(t)
  await client.StreamPool.createStream('early')
  const thrown = uncaught()
  t.after(thrown.stop)
  const metas = []
  con.on('stream', (stream) => {
    metas.push(stream.meta)
    if (stream.meta === 'early') throw new Error('mine')
  })
  await eventually(() => thrown.length === 1, 'the exception')
  assert.equal(thrown[0].message, 'mine')
  await client.StreamPool.createStream('late')
  await eventually(() => metas.length === 2, 'the other one')
})

test('streams wait as long as a connection lives whose peer has ended its half', async (t) => {
  const { con, client } = await connectPair(t, both({ allowHalfOpen: true }))
  await client.ping()
  const stream = await client.StreamPool.createStream(1)
  const answer = collect(stream)
  stream.end(Buffer.from('question'))
  client.end()
  await nextEvent(con, 'end')
  await turn()
  con.on('stream', (stream) => {
    stream.resume()
    stream.write(Buffer.from('part1 '))
    setImmediate(() => stream.end(Buffer.from('part2')))
  })
  assert.equal(String(Buffer.concat((await answer).chunks)), 'part1 part2')
  con.end()
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
