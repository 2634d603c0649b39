'use strict'

// Runs in an empty folder, with what was installed there.

require('./round-trip-body.cjs')(require('tcp-stream-muxer'))
