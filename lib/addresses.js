'use strict'

// The addresses of both ends of a connection, by the names that net gives them.
//
// This file may not: look anything up.

/** @param ends what native code tells of both ends; an end on a Unix socket is null */
function addressesOf ({ local, remote }) {
  return {
    localAddress: local?.address,
    localPort: local?.port,
    localFamily: local?.family,
    remoteAddress: remote?.address,
    remotePort: remote?.port,
    remoteFamily: remote?.family
  }
}

module.exports = { addressesOf }
