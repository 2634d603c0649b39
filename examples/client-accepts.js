'use strict'
// A client that accepts streams; server-creates.js is its other end.
//
//     node examples/client-accepts.js [port]

const Muxer = require('tcp-stream-muxer')

const client = new Muxer.MuxClient(Number(process.argv[2] ?? 12345), function () {
  client.on('stream', function (stream) {
    console.log('stream', stream.meta)
    stream.on('data', function (data) {
      console.log('data', data.toString())
    })
    stream.on('end', function () {
      console.log('end')
      client.connection.end()
    })
  })
})
