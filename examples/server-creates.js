'use strict'
// A server that creates a stream on every connection; client-accepts.js is its other end.
//
//     node examples/server-creates.js [port]      Ctrl-C ends it

const Muxer = require('tcp-stream-muxer')

const server = new Muxer.MuxServer(Number(process.argv[2] ?? 12345))

server.on('listening', function () {
  console.log('listening on port', server.address().port)
})

server.on('connection', function (con) {
  con.StreamPool.createStream({ type: 'update', file: 'xy.js' }, function (stream) {
    stream.write(Buffer.from('the new content of xy.js'))
    stream.end()
  })
})
