// What both processes of the demo have in common: their orders come in argv, their reports go to the parent by IPC.

import process from 'node:process'

export const settings = JSON.parse(process.argv[2])

export function tell (message) {
  if (process.connected) process.send(message)
}

/** The parent decides when it is over; if it is gone, there is nobody to work for. */
export function followParent (cleanUp = () => {}) {
  // Ctrl-C reaches the whole process group: the parent answers it by ending both.
  process.on('SIGINT', () => {})
  process.once('disconnect', () => {
    cleanUp()
    process.exit(1)
  })
  // So that the process ends by itself when its connection is closed: that is part of what the demo shows.
  process.channel.unref()
}

export function fail (error) {
  tell({ type: 'failed', reason: error.message })
  process.exitCode = 1
}

/** Calls report ten times a second, which is more than anybody reads, without keeping the process alive. */
export function everyTenth (report) {
  return setInterval(report, 100).unref()
}
