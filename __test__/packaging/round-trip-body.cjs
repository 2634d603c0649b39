'use strict'

// One message from end to end, by the classes of whichever module was loaded. Prints what came back.

module.exports = function roundTrip ({ MuxServer, MuxClient }) {
  const server = new MuxServer({ port: 0, host: '127.0.0.1' })
  server.on('connection', (con) => {
    con.on('stream', (stream) => {
      const parts = []
      stream.on('data', (data) => parts.push(data))
      stream.on('end', () => {
        console.log(JSON.stringify({ meta: stream.meta, data: Buffer.concat(parts).toString() }))
        client.end()
        server.close()
      })
    })
  })
  let client
  server.on('listening', () => {
    client = new MuxClient({ port: server.address().port, host: '127.0.0.1' }, () => {
      client.StreamPool.createStream({ type: 'greeting' }, (stream) => {
        stream.write(Buffer.from('hello'))
        stream.end()
      })
    })
  })
}
