'use strict'

// Files into and out of streams.
//
// This file may not: keep a file's bytes, or swallow an error: an error appears on the stream and on the file.

const fs = require('node:fs')

// Ties the two lives together: what fails on one side ends the other.
function tie (file, stream) {
  file.once('error', (error) => stream.destroy(error))
  stream.once('close', () => file.destroy(stream.errored || undefined))
  return file
}

/**
 * Pipes the file into the stream and ends the stream with it. A file that cannot be read destroys the stream with
 * that error. @returns {fs.ReadStream}
 */
function sendFile (path, stream) {
  const file = tie(fs.createReadStream(path), stream)
  file.pipe(stream)
  return file
}

/**
 * Pipes the stream into the file. A file that cannot be written destroys the stream with that error. A stream that is
 * cut off destroys the file, which keeps what came before. @returns {fs.WriteStream}
 */
function receiveFile (path, stream) {
  const file = fs.createWriteStream(path)
  file.once('error', (error) => stream.destroy(error))
  stream.once('close', () => {
    // After the stream's end, the file still writes what it has.
    if (!stream.readableEnded) file.destroy(stream.errored || undefined)
  })
  stream.pipe(file)
  return file
}

module.exports = { receiveFile, sendFile }
