'use strict'

// The carriers of this thread by the number under which native code asks for them.
//
// This file may not: know what a carrier is for.

const carriers = new Map()
let next = 0

/** @returns {number} the number of the carrier from now on */
function register (carrier) {
  // The number is a word, and is not used again soon.
  while (carriers.has(next)) next = next + 1 >>> 0
  const number = next
  next = next + 1 >>> 0
  carriers.set(number, carrier)
  return number
}

function forget (number) { carriers.delete(number) }

/** Native code asks a carrier to look. */
function ask (number) { carriers.get(number)?.takeSoon() }

/** The process exits. @returns {boolean} whether there was anything to be written */
function flushAtExit () {
  let hasWritten = false
  for (const carrier of [...carriers.values()]) hasWritten = carrier.flushAtExit() || hasWritten
  return hasWritten
}

module.exports = { ask, flushAtExit, forget, register }
