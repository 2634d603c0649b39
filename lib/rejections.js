'use strict'

// Rejections of async listeners, where captureRejections is on: each ends what it concerns, as net does, and no more.
//
// This file may not: decide whether rejections are captured, or know what ends an emitter.

const { EventEmitter } = require('node:events')

const REJECTED = Symbol.for('nodejs.rejection')

/** Captures the rejections of the listeners of one emitter, as the option of EventEmitter's constructor does. */
function capture (emitter) {
  EventEmitter.init.call(emitter, { captureRejections: true })
}

/**
 * Says what a class does with a rejection. `own` names the event whose first argument, a connection or a stream, is
 * destroyed in place of the emitter; of all other events `otherwise` is called with the error.
 */
function onRejection (Class, own, otherwise) {
  Object.defineProperty(Class.prototype, REJECTED, {
    configurable: true,
    writable: true,
    value (error, event, first) {
      if (event === own) first.destroy(error)
      else otherwise(this, error)
    }
  })
}

module.exports = { capture, onRejection }
