'use strict'

// A connection over a stream that a program has handed to its server, until the server has let it in. The stream is not read
// meanwhile.
//
// This file may not: decide who comes in.

const { Verdict } = require('./candidate')

class Guest extends Verdict {
  constructor (server, connection) {
    super(server, connection._carrier.ends)
    this._connection = connection
  }

  _admit () {
    const { _connection: connection, _server: server } = this
    if (!connection.destroyed) server._letIn(connection, this._ends)
  }

  // If the duplex has closed meanwhile, or the program has destroyed the connection, nobody is left to be refused.
  _refuse (error, refusal) {
    if (!this._connection.destroyed) super._refuse(error, refusal)
  }

  // The connection ends as one that the program closes with a code.
  _tell (refusal) {
    const { _connection: connection } = this
    connection._carrier.start(true, refusal)
    if (!connection.destroyed) connection._shut(null)
  }
}

module.exports = { Guest }
