'use strict'

// Certificates and keys of the tests: __test__/fixtures/tls/make.sh makes them.

const fs = require('node:fs')
const path = require('node:path')

const folder = path.join(__dirname, '../fixtures/tls')
const pem = (name) => fs.readFileSync(path.join(folder, `${name}.pem`))

/** A certificate with its key. */
const identity = (name) => ({ cert: pem(name), key: pem(`${name}-key`) })

const ca = pem('authority')

module.exports = { ca, identity, pem }
