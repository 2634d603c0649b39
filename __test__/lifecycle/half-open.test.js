'use strict'

// The rule of docs/API.md, "Half-open streams", over the table of those who accept and those who create: who answers is
// not cut off, who never answers leaks nothing, and nothing that a peer's timing does is an uncaught error.

const test = require('node:test')
const assert = require('node:assert/strict')
const { once } = require('node:events')
const { finished } = require('node:stream/promises')
const { text } = require('node:stream/consumers')
const fs = require('node:fs')
const path = require('node:path')
const { connectPair, openPair, temporaryFolder, Muxer } = require('../support/mux.js')
const { nextEvent, within, turn, eventually, collect } = require('../support/events.js')

const ANSWER = Buffer.from('answer')

async function later () {
  for (let count = 0; count < 20; count++) await turn()
}

// Calls back in a later turn, as a database does.
function lookUp (done) { later().then(done) }

// What a program does with a stream that it answers in the end.
const ANSWERERS = {
  'at once': (stream) => { stream.end(ANSWER) },
  'in its end listener': (stream) => { stream.resume().on('end', () => stream.end(ANSWER)) },
  'in its end listener, unread': (stream) => { stream.on('end', () => stream.end(ANSWER)) },
  'behind an await in its end listener': (stream) => {
    stream.resume().on('end', async () => {
      await later()
      stream.end(ANSWER)
    })
  },
  'in a callback of its end listener': (stream) => {
    stream.on('data', () => {}).on('end', () => lookUp(() => stream.end(ANSWER)))
  },
  'in a callback of its data listener': (stream) => {
    stream.on('data', () => lookUp(() => stream.end(ANSWER)))
  },
  'in a callback, unread': (stream) => { lookUp(() => stream.end(ANSWER)) },
  'in an asynchronous listener': async (stream) => {
    await later()
    stream.end(ANSWER)
  },
  'in an asynchronous listener that throws the question away': async (stream) => {
    stream.resume()
    await later()
    stream.end(ANSWER)
  },
  'behind for await': async (stream) => {
    for await (const chunk of stream) assert.equal(String(chunk), 'question')
    stream.end(ANSWER)
  },
  'behind for await and another await': async (stream) => {
    for await (const chunk of stream) assert.equal(String(chunk), 'question')
    await later()
    stream.end(ANSWER)
  },
  'behind for await in a function of its own': (stream) => {
    (async () => {
      for await (const chunk of stream) assert.equal(String(chunk), 'question')
      await later()
      stream.end(ANSWER)
    })()
  },
  'piece by piece, with awaits between them': async (stream) => {
    for await (const chunk of stream) assert.equal(String(chunk), 'question')
    for (const byte of ANSWER) {
      await later()
      stream.write(Buffer.of(byte))
    }
    stream.end()
  },
  'behind a piece given at once': async (stream) => {
    stream.write(ANSWER.subarray(0, 1))
    for await (const chunk of stream) assert.equal(String(chunk), 'question')
    await later()
    stream.end(ANSWER.subarray(1))
  },
  'with a late data listener': (stream) => {
    lookUp(() => stream.on('data', () => {}).on('end', () => lookUp(() => stream.end(ANSWER))))
  },
  'by a pipe': (stream) => {
    const { PassThrough } = require('node:stream')
    const through = new PassThrough()
    stream.resume()
    through.pipe(stream)
    lookUp(() => through.end(ANSWER))
  }
}

// How a creator asks and reads the answer.
const ASKERS = {
  'reads from the start': async (stream) => {
    const answer = collect(stream)
    stream.end(Buffer.from('question'))
    return Buffer.concat((await answer).chunks)
  },
  'ends, then reads in the same turn': async (stream) => {
    stream.end(Buffer.from('question'))
    return text(stream)
  },
  'reads when its half has finished': async (stream) => {
    stream.end(Buffer.from('question'))
    await finished(stream, { readable: false })
    return text(stream)
  }
}

for (const [how, answerer] of Object.entries(ANSWERERS)) {
  test(`an answer given ${how} arrives`, async (t) => {
    for (const asker of Object.values(ASKERS)) {
      const { con, client } = await connectPair(t)
      await client.connection.ping()
      con.on('stream', answerer)
      const stream = await within(client.StreamPool.createStream(1), 'the acknowledgement')
      const closed = nextEvent(stream, 'close')
      assert.equal(String(await within(asker(stream), 'the answer')), 'answer')
      await closed
      await eventually(() => con.stats().streamsLive + client.connection.stats().streamsLive === 0, 'the end of both')
    }
  })
}

test('answers given with end() when a file is written arrive, all of them', async (t) => {
  const folder = temporaryFolder(t)
  const { con, client } = await connectPair(t)
  con.on('stream', (stream) => {
    Muxer.util.receiveFile(path.join(folder, `to-${stream.meta}`), stream).on('finish', () => stream.end({ ok: true }))
  })
  await Promise.all(Array.from({ length: 50 }, async (_, number) => {
    const from = path.join(folder, `from-${number}`)
    fs.writeFileSync(from, Buffer.alloc(1 + number * 700))
    const stream = await client.StreamPool.createStream(number)
    const ended = once(stream.resume(), 'end')
    Muxer.util.sendFile(from, stream)
    assert.equal(String((await within(ended, 'the answer'))[0]), '{"ok":true}')
  }))
})

// Programs of version 0.1.0: they read what they accept, or do not, and never end it.
const CLASSICS = {
  'data listener': (stream) => { stream.on('data', () => {}) },
  'data and end listeners': (stream) => { stream.on('data', () => {}).on('end', () => {}) },
  'end listener': (stream) => { stream.on('end', () => {}) },
  pipe: (stream) => { stream.pipe(new (require('node:stream').PassThrough)().resume()) },
  nothing: () => {}
}

for (const [what, classic] of Object.entries(CLASSICS)) {
  test(`a one-way sender closes, and leaks no place, beside a program of 0.1.0 (${what})`, async (t) => {
    const { con, client } = await connectPair(t, { client: { maxStreams: 20 }, server: { maxIncomingStreams: 20 } })
    con.on('stream', classic)
    for (let number = 0; number < 60; number++) {
      const stream = await within(client.StreamPool.createStream(number), 'a place')
      const closed = nextEvent(stream, 'close')
      stream.end(Buffer.from('one way'))
      await closed
      assert.equal(stream.errored, null)
    }
    await eventually(() => con.stats().streamsLive + client.connection.stats().streamsLive === 0, 'the end of both')
  })
}

test('who answers in data listeners need not end, as with a socket', async (t) => {
  const { con, client } = await connectPair(t)
  con.on('stream', (stream) => stream.on('data', (data) => stream.write(data)))
  const stream = await client.StreamPool.createStream(1)
  const answer = collect(stream)
  const closed = nextEvent(stream, 'close')
  stream.write(Buffer.from('answer'))
  stream.end()
  assert.equal(String(Buffer.concat((await answer).chunks)), 'answer')
  await closed
})

test('a stream whose data was thrown away, and that nobody listens to, ends after a while', async (t) => {
  const { con, client } = await connectPair(t)
  const { creator, acceptor } = await openPair(client, con)
  acceptor.resume()
  const ended = nextEvent(creator.resume(), 'end')
  creator.end()
  await ended
})

test('an answer that comes when nobody reads is lost aloud, and is no uncaught error', async (t) => {
  const warned = nextEvent(process, 'warning')
  const { con, client } = await connectPair(t)
  const late = new Promise((resolve) => con.on('stream', (stream) => {
    stream.on('data', () => {}).on('close', () => stream.end({ lost: true }, resolve))
  }))
  const stream = await client.StreamPool.createStream(1)
  const closed = nextEvent(stream, 'close')
  stream.end(Buffer.from('one way'))
  await closed
  assert.equal((await within(late, 'the callback')).code, 'ERR_MUX_ANSWER_LOST')
  assert.equal((await warned)[0].code, 'MUX_ANSWER_LOST')
})

test('writing to a stream whose peer or connection has gone is never an uncaught error', async (t) => {
  for (const go of [
    (creator) => creator.destroy(), (creator) => creator.reset(3), (creator) => creator.stopSending(4),
    (creator, client) => client.destroy(), (creator, client) => client.connection.resetAndDestroy(),
    (creator, client) => client.end(), (creator) => creator.end()
  ]) {
    const { con, client, server } = await connectPair(t)
    server.on('connectionError', () => {})
    client.on('error', () => {})
    await client.connection.ping()
    const { creator, acceptor } = await openPair(client, con)
    creator.on('error', () => {})
    acceptor.resume()
    go(creator, client)
    for (let count = 0; count < 30; count++) {
      acceptor.write(Buffer.from('late'))
      await turn()
    }
    acceptor.end('late')
    acceptor.destroy()
    await turn()
  }
})
