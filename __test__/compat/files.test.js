'use strict'

// COMPAT.md: `pipe`, and util.sendFile and util.receiveFile.

const test = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const zlib = require('node:zlib')
const { createHash, randomBytes } = require('node:crypto')
const { Muxer, connectPair, connectStream, openPair, temporaryFolder } = require('../support/mux.js')
const { nextEvent, within, collectBytes } = require('../support/events.js')

const SIZE = 3_000_000

function sourceFile (t) {
  const folder = temporaryFolder(t)
  const file = path.join(folder, 'source')
  const content = Buffer.concat([randomBytes(SIZE / 2), Buffer.alloc(SIZE / 2, 'compressible ')])
  fs.writeFileSync(file, content)
  return { file, content, target: path.join(folder, 'target') }
}

const digest = (bytes) => createHash('sha256').update(bytes).digest('hex')

test('fs.createReadStream(file).pipe(stream) sends the file', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const { file, content } = sourceFile(t)
  const received = collectBytes(acceptor)
  assert.equal(fs.createReadStream(file).pipe(creator), creator)
  assert.equal(digest(await received), digest(content))
})

test('stream.pipe(fs.createWriteStream(file)) writes it', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const { file, content, target } = sourceFile(t)
  const written = nextEvent(acceptor.pipe(fs.createWriteStream(target)), 'finish')
  fs.createReadStream(file).pipe(creator)
  await written
  assert.equal(digest(fs.readFileSync(target)), digest(content))
})

test('gzip.pipe(stream) and stream.pipe(gunzip).pipe(file) make a chain of pipes', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const { file, content, target } = sourceFile(t)
  const written = nextEvent(acceptor.pipe(zlib.createGunzip()).pipe(fs.createWriteStream(target)), 'finish')
  fs.createReadStream(file).pipe(zlib.createGzip()).pipe(creator)
  await written
  assert.equal(digest(fs.readFileSync(target)), digest(content))
})

test('an acceptor piped into a creator of another connection passes everything on', async (t) => {
  const near = await connectStream(t)
  const far = await connectStream(t)
  const { file, content } = sourceFile(t)
  const received = collectBytes(far.acceptor)
  near.acceptor.pipe(far.creator)
  fs.createReadStream(file).pipe(near.creator)
  assert.equal(digest(await received), digest(content))
})

test('pipe does not end the stream when told not to', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const { file } = sourceFile(t)
  const received = collectBytes(acceptor)
  const source = fs.createReadStream(file)
  source.pipe(creator, { end: false })
  await nextEvent(source, 'end')
  creator.end(Buffer.from('appended'))
  const bytes = await received
  assert.equal(bytes.length, SIZE + 8)
  assert.equal(String(bytes.subarray(SIZE)), 'appended')
})

test('util.sendFile and util.receiveFile carry a file', async (t) => {
  const { con, client } = await connectPair(t)
  const { file, content, target } = sourceFile(t)
  const received = within(new Promise((resolve) => con.on('stream', (stream) => {
    Muxer.util.receiveFile(target, stream)
    stream.on('close', resolve)
  })), 'the file')
  client.StreamPool.createStream({ file: 'source' }, (stream) => Muxer.util.sendFile(file, stream))
  await received
  await within((async () => {
    while (fs.statSync(target).size < SIZE) await new Promise((resolve) => setTimeout(resolve, 10))
  })(), 'the last bytes on disk')
  assert.equal(digest(fs.readFileSync(target)), digest(content))
})

test('several files travel over one connection at once', async (t) => {
  const { con, client } = await connectPair(t)
  const { file, content } = sourceFile(t)
  const pairs = []
  for (let index = 0; index < 8; index++) pairs.push(await openPair(client, con, index))
  const digests = await within(Promise.all(pairs.map(async ({ creator, acceptor }) => {
    Muxer.util.sendFile(file, creator)
    return digest(await collectBytes(acceptor))
  })), 'eight files')
  assert.deepEqual(digests, Array(8).fill(digest(content)))
})
