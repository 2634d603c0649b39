'use strict'

// What a server in TLS may be for the name that a client asks for: addContext(), and the answers of SNICallback.
//
// This file may not: emit anything, or know a connection but by its number.

const engine = require('./engine')
const { contextTls } = require('./tls-options')
const { trusted } = require('./trust')

// As in tls: a star stands for one label, or a part of one.
function pattern (hostname) {
  const escaped = hostname.replace(/[-/\\^$+?.()|[\]{}]/g, '\\$&').replaceAll('*', '[^.]*')
  return new RegExp(`^${escaped}$`, 'i')
}

class Contexts {
  /** @param tls as tls-options.serverTls() returns it */
  constructor ({ given, wire, SNICallback }) {
    this._wire = wire
    this._inherited = given
    this._callback = SNICallback
    this._added = [] // { matches, options, context }, the latest first
    this._read = new WeakMap() // options: the context that native code made of them
  }

  /** Whether a client's name matters. */
  get asks () { return this._callback !== undefined || this._added.length > 0 }

  /** The server's own options have changed. */
  inherit (given) {
    const added = this._added.map(({ matches, options }) => ({ matches, options, context: this._make(options, given) }))
    this._inherited = given
    this._added = added
    this._read = new WeakMap()
  }

  add (hostname, options) {
    const matches = pattern(hostname)
    // The options are read now, so that the program hears of a mistake, and changes nothing later.
    const { native, own } = contextTls(options, this._inherited, this._wire)
    this._added.unshift({ matches, options: own, context: nativeContext(native) })
  }

  /**
   * Finds what to be for a name. `done(error, context)` is called once; without a context the server is itself.
   * @param server the `this` of SNICallback
   */
  find (server, name, done) {
    if (this._callback === undefined) return done(null, this._added.find(({ matches }) => matches.test(name))?.context)
    let isDone = false
    const answer = (error, options) => {
      if (isDone) return
      isDone = true
      if (error) return done(error)
      let context
      try {
        if (options !== undefined && options !== null) context = this._contextOf(options)
      } catch (error) {
        return done(error)
      }
      done(null, context)
    }
    try {
      this._callback.call(server, name, answer)
    } catch (error) {
      answer(error ?? new Error('SNICallback threw'))
    }
  }

  _contextOf (options) {
    const known = this._read.get(options)
    if (known !== undefined) return known
    const context = this._make(options, this._inherited)
    this._read.set(options, context)
    return context
  }

  _make (options, inherited) {
    return nativeContext(contextTls(options, inherited, this._wire).native)
  }
}

function nativeContext (settings) { return engine.native.serverContext(JSON.stringify(trusted(settings))) }

module.exports = { Contexts }
