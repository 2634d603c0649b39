'use strict'

// Files over a real connection.

const test = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { finished } = require('node:stream/promises')
const { Muxer, connectStream, temporaryFolder } = require('./support/mux.js')
const { nextEvent, collectBytes, turn } = require('./support/events.js')

const { sendFile, receiveFile } = Muxer.util

test('a file arrives whole, and the stream ends with it', async (t) => {
  const folder = temporaryFolder(t)
  const from = path.join(folder, 'from')
  const to = path.join(folder, 'to')
  const content = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index * 7))
  fs.writeFileSync(from, content)
  const { creator, acceptor } = await connectStream(t)
  const written = finished(receiveFile(to, acceptor))
  const finish = nextEvent(creator, 'finish')
  assert.ok(sendFile(from, creator) instanceof fs.ReadStream)
  await Promise.all([written, finish])
  assert.ok(fs.readFileSync(to).equals(content))
})

test('an empty file is an end', async (t) => {
  const from = path.join(temporaryFolder(t), 'empty')
  fs.writeFileSync(from, '')
  const { creator, acceptor } = await connectStream(t)
  const received = collectBytes(acceptor)
  sendFile(from, creator)
  assert.equal((await received).length, 0)
})

test('a file that cannot be read destroys the stream with its error', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  acceptor.resume()
  const failed = nextEvent(creator, 'error')
  sendFile('/nonexistent/file', creator)
  assert.equal((await failed)[0].code, 'ENOENT')
})

test('a file that cannot be written destroys the stream with its error', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const failed = nextEvent(acceptor, 'error')
  receiveFile('/nonexistent/file', acceptor)
  creator.write(Buffer.from('x'))
  assert.equal((await failed)[0].code, 'ENOENT')
})

test('a connection that is lost destroys the files, and throws nothing', async (t) => {
  const folder = temporaryFolder(t)
  const from = path.join(folder, 'from')
  fs.writeFileSync(from, Buffer.alloc(30_000_000))
  const { client, con, creator, acceptor } = await connectStream(t)
  client.on('error', () => {}) // as without a listener it would throw: the other end closes with bytes unread
  const reading = sendFile(from, creator)
  const writing = receiveFile(path.join(folder, 'to'), acceptor)
  await nextEvent(acceptor, 'data')
  const closed = Promise.all([nextEvent(reading, 'close'), nextEvent(writing, 'close')])
  con.destroy()
  await closed
  await turn()
  assert.deepEqual([reading.destroyed, writing.destroyed], [true, true])
  assert.equal(writing.errored.code, 'ERR_MUX_CONNECTION_CLOSED')
})
