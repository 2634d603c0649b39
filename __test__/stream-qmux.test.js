'use strict'

// A stream on QMux, both its halves, against a fake native side: how it ends, in each of the ways there are.

const test = require('node:test')
const assert = require('node:assert/strict')
const { Readable, finished } = require('node:stream')
const { pipeline } = require('node:stream/promises')
const { promisify } = require('node:util')
const { acceptor, connection, creator, kind, log } = require('./support/qmux.js')
const { uncaught } = require('./support/fake-engine.js')
const { nextEvent, turn } = require('./support/events.js')

const whenFinished = promisify(finished)

async function turns (count = 4) {
  for (let index = 0; index < count; index++) await turn()
}

test.beforeEach(() => turns())

test('both ends write and read', () => {
  for (const make of [creator, acceptor]) {
    const { stream, deliver, said } = make()
    const seen = log(stream, 'data')
    stream.write(Buffer.from('out'))
    stream.write({ a: 1 })
    deliver('in', '')
    assert.deepEqual(said().filter((each) => each.startsWith('DATA')), ['DATA out', 'DATA {"a":1}'])
    assert.deepEqual(seen, ['data in', 'data '])
    assert.deepEqual([stream.readable, stream.writable, stream.destroyed], [true, true, false])
  }
})

test('what a listener writes goes behind the acknowledgement, which is given once', () => {
  for (const [use, first] of [
    [(stream) => stream.write(Buffer.from('x')), ['ACCEPT', 'DATA x']],
    [(stream) => stream.end('x'), ['ACCEPT', 'END_VALUE "x"']],
    [(stream) => stream.end(), ['ACCEPT', 'END']],
    [(stream) => stream.reset(3), ['ACCEPT', 'RESET 3']],
    [(stream) => stream.stopSending(4), ['ACCEPT', 'STOP 4']],
    [(stream) => stream.destroy(), ['ACCEPT', 'END', 'DISCARD']],
    [(stream) => stream.destroy(new Error('no')).on('error', () => {}), ['ACCEPT', 'RESET 1', 'DISCARD']],
    [() => {}, ['ACCEPT']]
  ]) {
    const { said } = acceptor({}, use)
    assert.deepEqual(said(), first)
  }
})

test('a write callback waits for the mark of its own stream', async () => {
  const { stream, handle, sent, tell } = creator()
  const called = []
  stream.write('a', (error) => called.push(error))
  const [, mark] = sent()
  assert.equal(mark.stream, handle)
  tell(kind.MARK, 0, '', mark.argument)
  assert.deepEqual(called, [undefined])
})

// ---- ends in order ----

test('an acceptor whose end was emitted ends its own half, and closes', async () => {
  const { stream, deliver, end, said } = acceptor()
  const seen = log(stream, 'data', 'end', 'finish', 'close', 'error')
  deliver('a')
  end('{"v":1}')
  await turns()
  assert.deepEqual(seen, ['data a', 'end {"v":1}', 'finish', 'close'])
  assert.deepEqual(said(), ['ACCEPT', 'END'])
})

test('with allowHalfOpen it stays writable, and closes when it is ended', async () => {
  const { stream, end, said } = acceptor({ allowHalfOpen: true })
  const seen = log(stream, 'data', 'end', 'finish', 'close')
  end()
  await turns()
  assert.deepEqual([seen, stream.writable], [['end'], true])
  stream.write(Buffer.from('answer'))
  stream.end()
  assert.deepEqual(said(), ['ACCEPT', 'DATA answer', 'END'])
  await turns()
  assert.deepEqual(seen, ['end', 'finish', 'close'])
})

test('an acceptor whose data listeners answer ends behind what they wrote', async () => {
  const { stream, deliver, end, said } = acceptor()
  stream.on('data', () => stream.write(Buffer.from('answer')))
  deliver('question')
  end()
  await turns()
  assert.deepEqual(said(), ['ACCEPT', 'DATA answer', 'END'])
  await nextEvent(stream, 'close')
})

test('an acceptor that wrote of itself goes on until it ends', async () => {
  for (const write of [(stream) => stream.write(Buffer.from('answer')), async (stream) => {
    await null
    stream.write(Buffer.from('answer'))
  }]) {
    const { stream, deliver, end, said } = acceptor()
    stream.on('data', () => {})
    deliver('question')
    await write(stream)
    end()
    await turns()
    assert.deepEqual(said(), ['ACCEPT', 'DATA answer'])
    stream.end()
    assert.deepEqual(said(), ['END'])
    await nextEvent(stream, 'close')
  }
})

test('an unclaimed acceptor ends its half with the peer\'s end, and keeps what came', async () => {
  const { stream, deliver, end, said, record } = acceptor()
  deliver('kept')
  end()
  await turns()
  assert.deepEqual(said(), ['ACCEPT', 'HOLD 132', 'END'])
  record(kind.CLOSED)
  assert.deepEqual(said(), ['RELEASE 132', 'FORGET'])
  const seen = log(stream, 'data', 'end', 'close')
  await turns()
  assert.deepEqual(seen, ['data kept', 'end', 'close'])
  assert.deepEqual(said(), [])
})

test('an unclaimed acceptor with an end listener drops what came, as on the legacy wire', async () => {
  const { stream, con, deliver, end, said } = acceptor()
  const seen = log(stream, 'end', 'finish', 'close')
  deliver('dropped')
  end('"v"')
  await turns()
  assert.deepEqual(seen, ['end "v"', 'finish', 'close'])
  assert.deepEqual(said(), ['ACCEPT', 'HOLD 135', 'RELEASE 135', 'END'])
  assert.deepEqual([con.stats().discardedStreams, con.stats().discardedBytes], [1, 7])
})

test('an unclaimed acceptor that is written to, or piped into, is left to who does', async () => {
  const written = acceptor()
  written.stream.write(Buffer.from('x'))
  written.end()
  await turns()
  assert.deepEqual(written.said(), ['ACCEPT', 'DATA x'])
  written.stream.end()
  assert.deepEqual(written.said(), ['END'])

  const piped = acceptor()
  const source = new Readable({ read () {} })
  const done = pipeline(source, piped.stream)
  piped.end()
  await turns()
  assert.deepEqual(piped.said(), ['ACCEPT'])
  source.push('late answer')
  source.push(null)
  await turns()
  assert.deepEqual(piped.said(), ['DATA late answer', 'END'])
  await done
})

test('a creator that reads ends its half after the peer\'s, unless allowHalfOpen', async () => {
  for (const allowHalfOpen of [false, true]) {
    const { stream, end, said } = creator({ allowHalfOpen })
    const seen = log(stream, 'data', 'end', 'finish', 'close')
    end()
    await turns()
    assert.deepEqual(said(), allowHalfOpen ? [] : ['END'])
    await turns()
    assert.deepEqual(seen, allowHalfOpen ? ['end'] : ['end', 'finish', 'close'])
  }
})

test('a creator nobody reads goes on when the peer ends its half, and closes behind its own end', async () => {
  const { stream, end, said } = creator()
  const seen = log(stream, 'finish', 'close', 'error')
  end()
  await turns()
  assert.equal(stream.write(Buffer.from('goes on')), true)
  stream.end()
  assert.deepEqual(said(), ['DATA goes on', 'END'])
  await turns()
  assert.deepEqual(seen, ['finish', 'close'])
  assert.equal(stream.errored, null)
})

test('a creator nobody reads closes when the peer\'s half ends behind its own', async () => {
  const { stream, end, said } = creator()
  const seen = log(stream, 'finish', 'close', 'error')
  stream.end('value')
  said()
  await turns()
  assert.deepEqual(seen, ['finish'])
  end()
  await turns()
  assert.deepEqual(seen, ['finish', 'close'])
})

test('a creator with only an end listener gets it, and is not cut off by it', async () => {
  const { stream, end, said } = creator()
  const seen = log(stream, 'end', 'finish', 'close')
  end()
  await turns()
  assert.deepEqual(seen, ['end'])
  assert.equal(stream.writable, true)
  stream.end()
  said()
  await turns()
  assert.deepEqual(seen, ['end', 'finish', 'close'])
})

test('finished() of a creator nobody reads needs no reader', async () => {
  const { stream, end, said } = creator()
  const done = whenFinished(stream)
  stream.end()
  said()
  end()
  await done
})

test('an answer waits for who asked, however late, an end value too', async () => {
  for (const value of [undefined, '{"total":3}']) {
    const { stream, deliver, end, said } = creator()
    const source = Readable.from([Buffer.from('question')])
    const sent = pipeline(source, stream)
    deliver('one', 'two')
    end(value)
    await turns()
    said()
    await sent
    await turns()
    assert.equal(stream.destroyed, false)
    const chunks = []
    const ended = nextEvent(stream, 'end')
    for await (const chunk of stream) chunks.push(String(chunk))
    assert.deepEqual(chunks, ['one', 'two'])
    assert.deepEqual((await ended).map(String), value === undefined ? [] : [value])
  }
})

test('an end value alone is an answer, too', async () => {
  const { stream, end, said } = creator()
  stream.end()
  said()
  end('"answer"')
  await turns()
  assert.equal(stream.destroyed, false)
  assert.deepEqual((await nextEvent(stream, 'end')).map(String), ['"answer"'])
  await turns()
  assert.equal(stream.destroyed, true)
})

test('an end listener that throws closes the stream, and its half is ended', async () => {
  const errors = uncaught()
  const { stream, end, said } = acceptor()
  stream.resume().on('end', () => { throw new Error('listener') })
  const closed = nextEvent(stream, 'close')
  end()
  await closed
  errors.stop()
  assert.equal(errors.length, 1)
  assert.deepEqual(said(), ['ACCEPT', 'END'])
})

// ---- destroyed ----

test('destroy() ends one half and discards the other', async () => {
  for (const make of [creator, acceptor]) {
    const { stream, said, deliver } = make()
    stream.on('data', assert.fail)
    said()
    stream.destroy()
    deliver('late')
    assert.deepEqual(said(), ['END', 'DISCARD'])
  }
})

test('destroy(error) resets, with the code of the error if it has one', async () => {
  for (const [code, sent] of [[undefined, 1], [0, 0], [2 ** 40, 2 ** 40], [-1, 1], ['x', 1]]) {
    const { stream, said } = creator()
    const seen = log(stream, 'error')
    stream.destroy(Object.assign(new Error('why'), { code: 'E', resetCode: code }))
    assert.deepEqual(said(), [`RESET ${sent}`, 'DISCARD'])
    await turns()
    assert.deepEqual(seen, ['error E'])
  }
})

test('destroying a stream whose halves are over says nothing, and one whose end waits is reset', async () => {
  const over = acceptor()
  over.stream.resume()
  over.end()
  await turns()
  over.said()
  over.stream.destroy(new Error('late'))
  assert.deepEqual(over.said(), [])
  const waits = creator()
  waits.stream.on('error', () => {})
  waits.stream.end('value')
  waits.sent()
  waits.stream.destroy(new Error('now'))
  assert.deepEqual(waits.said(), ['RESET 1', 'DISCARD'])
})

test('what was written and reset tells its callbacks', async () => {
  for (const [give, code] of [
    [(stream) => stream.reset(5), 'ERR_MUX_STREAM_RESET'], [(stream) => stream.destroy(new Error('x')), undefined]
  ]) {
    const { stream, said } = creator()
    stream.on('error', () => {})
    const errors = []
    stream.write('x', (error) => errors.push(error))
    give(stream)
    said()
    assert.deepEqual(errors.map((error) => error instanceof Error && error.code), [code])
  }
})

// ---- reset() and the peer's ----

test('reset(code) gives the writing half up, and the other goes on', async () => {
  const { stream, con, said, deliver, end } = creator()
  const seen = log(stream, 'data', 'end', 'finish', 'close', 'error')
  assert.equal(stream.reset(2 ** 53 - 1), stream)
  stream.reset(1)
  assert.deepEqual(said(), [`RESET ${2 ** 53 - 1}`])
  assert.equal(con._streams.counted, 0)
  deliver('answer')
  end()
  await turns()
  assert.deepEqual(seen, ['data answer', 'finish', 'end', 'close'])
  assert.throws(() => stream.reset(-1), { code: 'ERR_MUX_INVALID_ARG' })
})

test('a peer\'s reset destroys the stream, with an error for those who listen', async () => {
  const errors = uncaught()
  for (const make of [creator, acceptor]) {
    for (const heard of [false, true]) {
      const { stream, said, record, deliver } = make()
      said()
      const seen = log(stream, 'close', ...(heard ? ['error'] : []))
      stream.pause()
      deliver('lost')
      record(kind.RESET, '9')
      await turns()
      assert.deepEqual(seen, heard ? ['error ERR_MUX_STREAM_RESET', 'close'] : ['close'])
      assert.equal(stream.errored.resetCode, 9)
      assert.deepEqual(said(), ['HOLD 132', 'RESET 9', 'RELEASE 132'])
    }
  }
  errors.stop()
  assert.deepEqual(errors.map(String), [])
})

// ---- stopSending() and the peer's ----

test('stopSending(code) drops what waits and what comes, and leaves the writing half open', async () => {
  const { stream, said, deliver, end } = acceptor()
  const seen = log(stream, 'end', 'finish', 'close', 'error')
  stream.pause()
  deliver('dropped')
  said()
  assert.equal(stream.stopSending(7), stream)
  stream.stopSending(8)
  deliver('too late')
  end()
  assert.deepEqual(said(), ['STOP 7', 'RELEASE 135'])
  await turns()
  assert.deepEqual([seen, stream.writable], [['end'], true])
  stream.end(Buffer.from('answer'))
  assert.deepEqual(said(), ['DATA answer', 'END'])
  await turns()
  assert.deepEqual(seen, ['end', 'finish', 'close'])
})

test('stopSending() within a data listener, flowing or from the buffer, ends the reading', async () => {
  for (const buffered of [false, true]) {
    const { stream, deliver } = acceptor()
    if (buffered) stream.pause()
    const chunks = []
    if (buffered) deliver('one', 'two', 'three')
    stream.on('data', (chunk) => {
      chunks.push(String(chunk))
      stream.stopSending()
    }).resume()
    if (!buffered) deliver('one', 'two')
    await nextEvent(stream, 'end')
    assert.deepEqual(chunks, ['one'])
  }
})

test('a for await that stops the sender ends', async () => {
  const { stream, deliver, said } = creator()
  const loop = (async () => {
    for await (const chunk of stream) {
      assert.equal(String(chunk), 'one')
      stream.stopSending(1)
    }
  })()
  await turns()
  deliver('one', 'two')
  await loop
  assert.ok(said().includes('STOP 1'))
})

test('who listens to stopSending keeps the stream, without its writing half', async () => {
  const { stream, con, said, record, deliver } = creator()
  const seen = log(stream, 'stopSending', 'finish', 'data', 'error')
  const errors = []
  stream.write('lost', (error) => errors.push(error.code))
  record(kind.STOPPED, '12')
  deliver('still reads')
  said()
  await turns()
  assert.deepEqual(seen, ['stopSending 12', 'data still reads', 'finish'])
  assert.deepEqual([stream.writable, stream.destroyed, con._streams.counted], [false, false, 0])
  assert.deepEqual(errors, ['ERR_MUX_STREAM_STOPPED'])
})

test('code 0 lets those who do not listen write into the void, as on the legacy wire', async () => {
  const { stream, con, said, record, end } = creator()
  const seen = log(stream, 'drain')
  said()
  record(kind.BLOCKED)
  assert.equal(stream.write(Buffer.from('waits')), false)
  said()
  record(kind.STOPPED, '0')
  assert.deepEqual(seen, ['drain'])
  let called = 0
  assert.equal(stream.write(Buffer.from('dropped'), () => called++), true)
  assert.throws(() => stream.write(undefined), { code: 'ERR_MUX_INVALID_VALUE' })
  assert.equal(con._streams.counted, 1)
  stream.end('value')
  end()
  assert.deepEqual(said(), [])
  await turns()
  assert.deepEqual([seen, called, con._streams.counted], [['drain'], 1, 0])
  assert.deepEqual([stream.writableFinished, stream.destroyed, stream.errored], [true, true, null])
})

test('another code destroys a stream that does not listen', async () => {
  for (const heard of [false, true]) {
    const { stream, said, record } = creator()
    const seen = log(stream, 'close', ...(heard ? ['error'] : []))
    record(kind.STOPPED, '5')
    await turns()
    assert.deepEqual(seen, heard ? ['error ERR_MUX_STREAM_STOPPED', 'close'] : ['close'])
    assert.equal(stream.errored.stopCode, 5)
    assert.deepEqual(said(), ['DISCARD'])
  }
})

test('a stop that finds all sent is of no consequence', async () => {
  const { stream, said, record } = creator()
  stream.on('error', assert.fail)
  stream.end()
  said()
  record(kind.STOPPED, '5')
  assert.equal(stream.destroyed, false)
})

test('a reader that goes is not seen by a classic creator', async () => {
  const { stream, said, record, end } = creator()
  end()
  record(kind.STOPPED, '0')
  await turns()
  for (let count = 0; count < 3; count++) assert.equal(stream.write(Buffer.alloc(100)), true)
  stream.end()
  assert.deepEqual(said(), [])
  await turns()
  assert.deepEqual([stream.writableFinished, stream.destroyed, stream.errored], [true, true, null])
})

test('a reader that goes is a premature close to whoever waits for the stream', async () => {
  for (const order of [['END', 'STOPPED'], ['STOPPED', 'END']]) {
    const { stream, record } = creator()
    const done = whenFinished(stream)
    const seen = log(stream, 'error', 'finish', 'close')
    for (const each of order) record(kind[each], each === 'STOPPED' ? '0' : '')
    await assert.rejects(done, { code: 'ERR_STREAM_PREMATURE_CLOSE' })
    assert.deepEqual(seen, ['close'])
  }
})

test('an answer is read though its writer reads no more, and then the stream closes without a finish', async () => {
  const { stream, deliver, end, record } = creator()
  const seen = log(stream, 'data', 'end', 'finish', 'error', 'close')
  deliver('answer')
  record(kind.STOPPED, '0')
  const errors = []
  assert.equal(stream.write('dropped', (error) => errors.push(error.code)), true)
  await turns()
  end()
  await turns()
  assert.deepEqual(seen, ['data answer', 'end', 'close'])
  assert.deepEqual(errors, ['ERR_MUX_STREAM_STOPPED'])
})

test('who ends behind a reader that has gone does not finish, if somebody waits for that', async () => {
  const { stream, record, said } = creator()
  const seen = log(stream, 'finish', 'error', 'close')
  record(kind.DATA, 'unread')
  record(kind.STOPPED, '0')
  await turns()
  assert.deepEqual(seen, [])
  stream.end()
  said()
  await turns()
  assert.deepEqual(seen, ['close'])
})

// ---- refuse() ----

test('refuse(code) takes the place of the acknowledgement, and the stream is gone', async () => {
  const { stream, said, deliver, record } = acceptor({}, (announced) => announced.refuse(6))
  assert.deepEqual(said(), ['REFUSE 6'])
  deliver('late')
  record(kind.END)
  record(kind.CLOSED)
  assert.deepEqual(said(), ['FORGET'])
  assert.equal(stream.destroyed, true)
  assert.equal(stream.errored, null)
})

test('a stream that nobody has used yet can be refused, also behind its acknowledgement', async () => {
  const { stream, said, deliver } = acceptor()
  deliver('kept')
  await turns()
  stream.refuse(6)
  assert.deepEqual(said(), ['ACCEPT', 'HOLD 132', 'RESET 6', 'STOP 6', 'RELEASE 132'])
  assert.deepEqual([stream.destroyed, stream.errored], [true, null])
})

test('an asynchronous listener has its time to refuse, and its promise is the acknowledgement', async () => {
  for (const [listener, expected] of [
    [async (stream) => { await null; stream.refuse(6) }, ['REFUSE 6']],
    [async (stream) => { await null; stream.write(Buffer.from('x')) }, ['ACCEPT', 'DATA x']],
    [async () => { await null }, ['ACCEPT']],
    [async (stream) => { stream.resume(); await null }, ['ACCEPT']]
  ]) {
    const side = connection()
    side.client.on('stream', listener)
    side.tell(kind.STREAM, 1, '1', 1)
    await turns()
    assert.deepEqual(side.said(), expected)
  }
})

test('a stream that was used or created here cannot be refused', () => {
  const late = { code: 'ERR_MUX_ALREADY_ACCEPTED' }
  assert.throws(() => creator().stream.refuse(), late)
  for (const use of [(stream) => stream.resume(), (stream) => stream.write('x'), (stream) => stream.end(),
    (stream) => stream.on('data', () => {}), (stream) => stream.pause()]) {
    const { stream } = acceptor()
    use(stream)
    assert.throws(() => stream.refuse(), late)
  }
  acceptor({}, (stream) => {
    stream.write('x')
    assert.throws(() => stream.refuse(), late)
    assert.throws(() => stream.refuse(-1), { code: 'ERR_MUX_INVALID_ARG' })
  })
})

// ---- priority ----

test('a priority goes with the open, and may change', () => {
  const { stream, con, sent } = creator()
  con.StreamPool.createStream('m', { priority: { urgency: 1, incremental: false } })
  stream.setPriority({ urgency: 7 })
  stream.setPriority({})
  assert.deepEqual(sent().slice(-4).map(({ stream: handle, argument }) => [handle, argument]),
    [[2, 3], [2, 1], [0, 15], [0, 11]])
  assert.throws(() => stream.setPriority({ urgency: 8 }), { code: 'ERR_MUX_INVALID_ARG' })
})
