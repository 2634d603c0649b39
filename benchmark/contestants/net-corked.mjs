// Node's own sockets, corked as its documentation tells a careful developer to: the first write of a turn corks, and
// process.nextTick uncorks, so that all writes of the turn go to the system in one call.

import process from 'node:process'
import { sockets } from './shared/sockets.mjs'

export { features } from './shared/sockets.mjs'

export const title = 'net, corked per turn'

export const packageName = null

function cork (socket) {
  const write = socket.write
  let isCorked = false

  function uncork () {
    isCorked = false
    socket.uncork()
  }

  socket.write = function (bytes) {
    if (!isCorked) {
      isCorked = true
      socket.cork()
      process.nextTick(uncork)
    }
    return write.call(socket, bytes)
  }
}

export const { listen, connect } = sockets(cork)
