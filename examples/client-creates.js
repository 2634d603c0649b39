'use strict'
// A client that creates a stream; server-accepts.js is its other end.
//
//     node examples/client-creates.js [port]

const Muxer = require('tcp-stream-muxer')

const client = new Muxer.MuxClient(Number(process.argv[2] ?? 12345), function () {
  client.StreamPool.createStream({ type: 'update' }, function (stream) {
    stream.write(Buffer.from('what has changed'))
    stream.end()
    // Everything written before is sent first.
    client.connection.end()
  })
})
