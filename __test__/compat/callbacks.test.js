'use strict'

// COMPAT.md: callbacks of write and end, 'finish', and the AsyncLocalStorage context everything runs in.

const test = require('node:test')
const assert = require('node:assert/strict')
const { AsyncLocalStorage } = require('node:async_hooks')
const { MuxServer, MuxClient, watchServer, watchClient, connectPair, connectStream, openPair } =
  require('../support/mux.js')
const { nextEvent, within, collect, eventually } = require('../support/events.js')
const { listenWire, frame } = require('../support/wire.js')

const called = (start, what = 'the callback') => within(new Promise((resolve) => start((...args) => resolve(args))), what)

test('write(value, callback) calls back without an error once the bytes are on their way', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  acceptor.resume()
  for (const value of [Buffer.from('x'), 'text', 42, null, { a: 1 }, Buffer.alloc(0), Buffer.alloc(300_000)]) {
    const [error] = await called((done) => creator.write(value, done))
    assert.ok(!error)
  }
})

test('write(string, encoding, callback) takes the callback third', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const arrived = nextEvent(acceptor, 'data')
  const [error] = await called((done) => creator.write('6869', 'hex', done))
  assert.ok(!error)
  assert.equal(String((await arrived)[0]), 'hi')
})

test('callbacks come in the order of the writes, each once, and never before write has returned', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  acceptor.resume()
  const order = []
  let returned = false
  const all = called((done) => {
    for (let index = 0; index < 100; index++) {
      creator.write(Buffer.alloc(index % 7 === 0 ? 50_000 : 10), () => {
        assert.equal(returned, true)
        order.push(index)
        if (index === 99) done()
      })
    }
  })
  returned = true
  await all
  assert.deepEqual(order, Array.from({ length: 100 }, (_, index) => index))
})

for (const [form, args, expected] of [
  ['end(callback)', [], { data: [], end: [] }],
  ['end(value, callback)', [{ v: 1 }], { data: [], end: ['{"v":1}'] }],
  ['end(buffer, callback)', [Buffer.from('b')], { data: ['b'], end: [] }],
  ['end(string, encoding, callback)', ['aGk=', 'base64'], { data: ['hi'], end: [] }]
]) {
  test(`${form} calls back without an error`, async (t) => {
    const { creator, acceptor } = await connectStream(t)
    const all = collect(acceptor)
    const [error] = await called((done) => creator.end(...args, done))
    assert.ok(!error)
    const { chunks, endArguments } = await all
    assert.deepEqual({ data: chunks.map(String), end: endArguments.map(String) }, expected)
  })
}

test('finish is emitted once, after the end frame was handed over', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  let finishes = 0
  creator.on('finish', () => finishes++)
  const closed = nextEvent(creator, 'close')
  const all = collect(acceptor)
  creator.write(Buffer.from('x'))
  creator.end()
  await closed
  await all
  assert.equal(finishes, 1)
  assert.equal(creator.writableFinished, true)
})

test('callbacks of what was not sent get an error when the connection ends first', async (t) => {
  const wire = await listenWire(t)
  const client = await watchClient(t, new MuxClient(wire.port, '127.0.0.1'))
  client.on('error', () => {})
  const peer = await wire.next()
  const opening = client.StreamPool.createStream('s')
  const { id } = await peer.frameAfterOffer()
  peer.send(frame(id, 4, 'null'))
  const creator = await opening
  peer.stopReading()
  const results = []
  // More than the kernel takes from us while nobody reads.
  for (let index = 0; index < 1024; index++) creator.write(Buffer.alloc(65536), (error) => results.push(error))
  creator.end((error) => results.push(error))
  const closed = nextEvent(creator, 'close')
  client.destroy()
  await closed
  await eventually(() => results.length === 1025, 'every callback has been called')
  const failed = results.filter(Boolean)
  assert.ok(failed.length > 0)
  assert.ok(failed.every((error) => error instanceof Error && typeof error.code === 'string'))
  assert.ok(results[1024], 'the end frame cannot have been sent')
})

test('a write without a callback after the connection has ended throws nothing', async (t) => {
  const { client, con, creator } = await connectStream(t)
  const closed = Promise.all([nextEvent(creator, 'close'), nextEvent(client, 'close')])
  con.destroy()
  client.on('error', () => {})
  creator.on('error', () => {})
  await closed
  creator.write(Buffer.from('into the void'))
  const [error] = await called((done) => creator.write(Buffer.from('again'), done))
  assert.ok(error instanceof Error)
})

// ---- async context ------------------------------------------------------------------------------------------------

test('the callback of createStream runs in its caller\'s context, before and after the connect', async (t) => {
  const storage = new AsyncLocalStorage()
  const server = await watchServer(t, new MuxServer({ port: 0, host: '127.0.0.1' }))
  server.on('connection', (con) => con.on('stream', () => {}))
  const client = new MuxClient(server.address().port, '127.0.0.1')
  const early = called((done) => storage.run('early', () => {
    client.StreamPool.createStream(1, () => done(storage.getStore()))
  }))
  assert.deepEqual(await early, ['early'])
  await watchClient(t, client)
  const contexts = await Promise.all(['a', 'b'].map((name) => called((done) => storage.run(name, () => {
    client.StreamPool.createStream(2, () => done(storage.getStore()))
  }))))
  assert.deepEqual(contexts, [['a'], ['b']])
})

test('the callbacks of write and end run in their callers\' contexts', async (t) => {
  const storage = new AsyncLocalStorage()
  const { creator, acceptor } = await connectStream(t)
  acceptor.resume()
  const contexts = await Promise.all([
    called((done) => storage.run('write 1', () => creator.write(Buffer.from('1'), () => done(storage.getStore())))),
    called((done) => storage.run('write 2', () => creator.write('2', 'utf8', () => done(storage.getStore())))),
    called((done) => storage.run('end', () => creator.end(() => done(storage.getStore()))))
  ])
  assert.deepEqual(contexts, [['write 1'], ['write 2'], ['end']])
})

test('the client\'s callback and events run in the context of its construction', async (t) => {
  const storage = new AsyncLocalStorage()
  const server = await watchServer(t, new MuxServer({ port: 0, host: '127.0.0.1' }))
  const accepted = nextEvent(server, 'connection')
  const seen = {}
  let client
  await called((done) => {
    client = storage.run('client', () => new MuxClient(server.address().port, '127.0.0.1', () => {
      seen.callback = storage.getStore()
      done()
    }))
    client.on('connect', () => { seen.connect = storage.getStore() })
    client.on('stream', () => { seen.stream = storage.getStore() })
    client.on('close', () => { seen.close = storage.getStore() })
  })
  await watchClient(t, client)
  const [con] = await accepted
  await storage.run('someone else', () => openPair(con, client))
  const closed = nextEvent(client, 'close')
  storage.run('someone else', () => client.end())
  await closed
  assert.deepEqual(seen, { callback: 'client', connect: 'client', stream: 'client', close: 'client' })
})

test('events of an accepted stream run in the context of its connection\'s creation', async (t) => {
  const storage = new AsyncLocalStorage()
  const server = await watchServer(t, new MuxServer({ port: 0, host: '127.0.0.1' }))
  const accepted = nextEvent(server, 'connection')
  const client = await watchClient(t, storage.run('client', () => new MuxClient(server.address().port, '127.0.0.1')))
  const [con] = await accepted
  const seen = { data: new Set() }
  const closed = called((done) => client.on('stream', (stream) => storage.run('someone else', () => {
    stream.on('data', () => seen.data.add(storage.getStore()))
    stream.on('end', () => { seen.end = storage.getStore() })
    stream.on('close', () => {
      seen.close = storage.getStore()
      done()
    })
  })))
  const creator = await con.StreamPool.createStream(1)
  for (let index = 0; index < 10; index++) creator.write(Buffer.from('x'))
  creator.end()
  await closed
  assert.deepEqual(seen, { data: new Set(['client']), end: 'client', close: 'client' })
})

test('events of a created stream run in the context of its creation', async (t) => {
  const storage = new AsyncLocalStorage()
  const { con, client } = await connectPair(t)
  con.on('stream', (stream) => stream.resume())
  const creator = await storage.run('creation', () => client.StreamPool.createStream(1))
  const seen = {}
  const closed = called((done) => storage.run('someone else', () => {
    creator.on('drain', () => { seen.drain = storage.getStore() })
    creator.on('close', () => {
      seen.close = storage.getStore()
      done()
    })
  }))
  await storage.run('someone else', async () => {
    const drained = nextEvent(creator, 'drain')
    while (creator.write(Buffer.alloc(65536)));
    await drained
    creator.end()
  })
  await closed
  assert.deepEqual(seen, { drain: 'creation', close: 'creation' })
})

test('a server\'s connection event does not run in the context of whoever wrote last', async (t) => {
  const storage = new AsyncLocalStorage()
  const server = await watchServer(t, storage.run('server', () => new MuxServer({ port: 0, host: '127.0.0.1' })))
  const seen = []
  const two = called((done) => server.on('connection', (con) => {
    seen.push(storage.getStore())
    con.on('stream', () => {
      seen.push(storage.getStore())
      if (seen.length === 4) done()
    })
  }))
  for (const name of ['one', 'two']) {
    await storage.run(name, async () => {
      const client = await watchClient(t, new MuxClient(server.address().port, '127.0.0.1'))
      await client.StreamPool.createStream(name)
    })
  }
  await two
  assert.deepEqual(seen, ['server', 'server', 'server', 'server'])
})

test('the callbacks of a connection\'s end and timeout, and of a server\'s close, run in their callers\' contexts',
  async (t) => {
    const storage = new AsyncLocalStorage()
    const server = await watchServer(t, storage.run('server', () => new MuxServer({ port: 0, host: '127.0.0.1' })))
    const port = server.address().port
    const client = await watchClient(t, storage.run('client', () => new MuxClient(port, '127.0.0.1')))
    const as = (name, start) => called((done) => {
      const start_ = () => start(() => done(storage.getStore()))
      if (name === undefined) storage.exit(start_)
      else storage.run(name, start_)
    })
    for (const name of ['timeout', undefined]) {
      assert.deepEqual(await as(name, (done) => client.connection.setTimeout(20, done)), [name])
    }
    client.connection.setTimeout(0)
    assert.deepEqual(await Promise.all([
      as('end', (done) => client.end(done)),
      as(undefined, (done) => client.end(done)),
      as('close', (done) => server.close(done)),
      as('again', (done) => server.close(done))
    ]), [['end'], [undefined], ['close'], ['again']])
  })

test('the events of a timeout run in the context of the connection\'s creation', async (t) => {
  const storage = new AsyncLocalStorage()
  const { client } = await connectPair(t)
  const seen = await called((done) => {
    client.connection.on('timeout', () => done(storage.getStore()))
    storage.run('someone else', () => client.connection.setTimeout(20))
  })
  assert.deepEqual(seen, [undefined])
})
