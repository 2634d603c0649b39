'use strict'

// The records of a connection, one by one. DATA does not pass here: engine.js passes it straight to the stream.
//
// This file may not: keep state, or send what a record does not ask for.

const { kind: kinds, op, WHOLE } = require('./boundary')
const engine = require('./engine')
const { callerError, connectionError, streamError } = require('./errors')
const { capture } = require('./rejections')
const { MuxStream } = require('./stream')

const {
  JSON: JSON_DATA, STREAM, OPENED, END, CLOSED, DRAIN, MARK, PEER, RESET, STOPPED, REFUSED, GOAWAY, BLOCKED, UNBLOCKED,
  CONNECTED, CONN_END, CONN_ERROR, CONN_CLOSE, PONG, WIRES, CREDIT, UNREAD, KEYLOG,
  SERVERNAME
} = kinds

/** Does what a record asks for. */
function receive (connection, kind, handle, offset, length, aux) {
  if (connection._idle !== null) connection._idle.refresh()
  if (kind === CONN_CLOSE) return connection._onReleased(length > 0 ? JSON.parse(engine.textAt(offset, length)) : {})
  if (connection.destroyed) return
  switch (kind) {
    case STREAM: return onStream(connection, handle, engine.textAt(offset, length), aux)
    case CLOSED: return onStreamClosed(connection, handle)
    // The echo goes out behind the HOLDs for earlier data, so data that came before and is not held is consumed.
    case CREDIT: return connection._link.command(op.CREDIT, handle, 0)
    case MARK: return connection._link.reach(aux)
    case DRAIN: return connection._queue.onDrain()
    case PEER: return onPeer(connection, aux === 1)
    case WIRES:
      connection._wires.onWires(aux)
      connection._sendPings()
      return
    case GOAWAY: return onGoaway(connection, handle)
    case PONG:
      if (connection._pings !== null) connection._pings.answer(aux, handle / 1000)
      return
    case KEYLOG: return connection._owner._keylog(engine.lineAt(offset, length))
    case SERVERNAME: return connection._owner._servername(engine.textAt(offset, length))
    case CONNECTED:
      if (connection._establish(JSON.parse(engine.textAt(offset, length)))) connection._owner._connected(connection)
      return
    case CONN_END:
      if (length > 0) connection._noteClose(JSON.parse(engine.textAt(offset, length)))
      return connection._onPeerEnd()
    case CONN_ERROR: return connection._onFailed(connectionError(engine.textAt(offset, length)))
    default: {
      const entry = connection._stream(handle)
      if (entry !== undefined) receiveOnStream(connection, kind, entry, offset, length, aux)
      if (kind === BLOCKED) connection._queue.onBlocked()
    }
  }
}

// `entry` is an entry of the table: a stream, an open that waits, or an Unreachable.
function receiveOnStream (connection, kind, entry, offset, length, aux) {
  switch (kind) {
    case OPENED: return entry._onOpened(aux)
    case END: return entry._onEnd(aux === 1 ? engine.cut(offset, length) : undefined)
    case JSON_DATA: {
      if (!entry._wantsValue(length)) return
      const value = connection._parse(engine.textAt(offset, length))
      if (!connection.destroyed) entry._onValue(value, length)
      return
    }
    case UNREAD: return entry._onUnread()
    case BLOCKED: return entry._onBlocked()
    case UNBLOCKED: return entry._onUnblocked()
    case RESET: return entry._onReset(Number(engine.textAt(offset, length)))
    case STOPPED: return entry._onStopped(Number(engine.textAt(offset, length)))
    case REFUSED: return entry._onRefused(Number(engine.textAt(offset, length)))
  }
}

function onStream (connection, handle, text, id) {
  // A foreign peer's stream has no meta.
  const meta = text === '' ? undefined : text
  const { _context: asyncContext, _wires: wires } = connection
  const stream = new MuxStream(connection, handle, id, meta, asyncContext, true, true, wires.sendsQmux)
  connection._streams.table.set(handle, stream)
  if (connection._settings.captureRejections) capture(stream)
  connection._counts.accepted++
  if (connection._streams.unheard.isEmpty && connection._owner._hearsStreams(connection)) connection._announce(stream)
  else connection._streams.unheard.add(stream)
}

function onStreamClosed (connection, handle) {
  const entry = connection._stream(handle)
  if (entry === undefined || entry._onClosed()) connection._streams.free(handle)
}

function onPeer (connection, isNew) {
  connection._wires.onPeer(isNew)
  if (!isNew && connection._pings !== null) connection._pings.refuse(callerError('ERR_MUX_NOT_SUPPORTED', 'ping()'))
}

function onGoaway (connection, handle) {
  if (handle !== WHOLE) {
    const open = connection._stream(handle)
    if (open !== undefined && open._pending) open._fail(streamError('ERR_MUX_GOAWAY'))
    return
  }
  if (connection._peerGoesAway) return
  connection._peerGoesAway = true
  connection._tell('goaway')
}

module.exports = { receive }
