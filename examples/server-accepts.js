'use strict'
// A server that accepts streams; client-creates.js is its other end.
//
//     node examples/server-accepts.js [port]      Ctrl-C ends it

const Muxer = require('tcp-stream-muxer')

const server = new Muxer.MuxServer(Number(process.argv[2] ?? 12345))

server.on('listening', function () {
  console.log('listening on port', server.address().port)
})

server.on('connection', function (con) {
  con.on('stream', function (stream) {
    console.log('stream', stream.meta)
    stream.on('data', function (data) {
      console.log('data', data.toString())
    })
    stream.on('end', function () {
      console.log('end')
    })
  })
})
