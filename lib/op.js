'use strict'

// The commands to the native side, by name; src/driver/command.rs has the same numbers.

module.exports = {
  OPEN: 1,
  DATA: 2,
  END: 3,
  END_VALUE: 4,
  ACCEPT: 5,
  HOLD: 6,
  RELEASE: 7,
  FORGET: 8,
  MARK: 9,
  CONN_END: 10,
  CONN_PAUSE: 11,
  CONN_RESUME: 12,
  DISCARD: 13,
  RESET: 14,
  STOP: 15,
  CREDIT: 16,
  PING: 17,
  CLOSE: 18,
  REFUSE: 19,
  PRIORITY: 20,
  GOAWAY: 21,
  UNREAD: 22
}
