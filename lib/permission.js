'use strict'

// Node's permission model. Native code does not pass through Node, so this package asks for itself.
//
// This file may not: emit anything.

const { accessDenied } = require('./errors')

/**
 * Asks Node whether this process may use the network. Node 20 to 24 have no such permission, and has() is false there
 * for every name that it does not know. So the option that grants the permission is looked for first.
 * @returns {Error|undefined} the error that net would report
 */
function denial (resource) {
  const { allowedNodeEnvironmentFlags: flags, permission } = process
  if (typeof permission?.has !== 'function' || !flags.has('--allow-net') || permission.has('net')) return undefined
  return accessDenied('Net', resource)
}

module.exports = { denial }
