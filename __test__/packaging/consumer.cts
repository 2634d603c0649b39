import Muxer = require('tcp-stream-muxer')

const server: Muxer.MuxServer = new Muxer.MuxServer({ port: 0 })
server.close()
