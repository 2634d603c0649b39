'use strict'

// Hands the authorities that Node trusts to native code: 150 certificates, which are read once for all connections.
//
// This file may not: choose whom to trust.

const engine = require('./engine')
const { roots } = require('./tls-options')

let handedOver // the list of Node's that native code has. Node makes another one when it is given other authorities

/** @returns the settings of one end, once native code knows whom they trust */
function trusted (settings) {
  if (settings.trustsRoots) {
    const list = roots()
    if (list !== handedOver) engine.native.trust(list.join('\n'))
    handedOver = list
  }
  return settings
}

module.exports = { trusted }
