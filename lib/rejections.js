'use strict'

// Rejections of async listeners with the option captureRejections: each ends what it concerns, as in net, and no more.
//
// This file may not: decide whether rejections are captured, or know how an emitter ends.

const { EventEmitter } = require('node:events')

const REJECTED = Symbol.for('nodejs.rejection')

/** Captures the rejections of the listeners of one emitter, as the option of EventEmitter's constructor does. */
function capture (emitter) {
  EventEmitter.init.call(emitter, { captureRejections: true })
}

/**
 * Sets what a class does with a rejection. For the event `own`, the first argument (a connection or a stream) is
 * destroyed with the error. For all other events, `otherwise` is called with the emitter and the error.
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
