'use strict'

// The exports of the package. This file may not hold any logic.

const { MuxClient } = require('./lib/client')
const { Connection } = require('./lib/connection')
const { MuxProtocolError } = require('./lib/errors')
const { MuxServer } = require('./lib/server')
const { MuxStream } = require('./lib/stream')
const util = require('./lib/util')

module.exports = { MuxServer, MuxClient, util, Connection, MuxStream, MuxProtocolError }
