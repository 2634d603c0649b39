// Both processes of the demo use this: their orders come in argv, their reports go to the parent by IPC.

import process from 'node:process'

export const settings = JSON.parse(process.argv[2])

export function tell (message) {
  if (process.connected) process.send(message)
}

/** The parent decides when the work is over. If the parent is gone, the process ends: there is nobody to work for. */
export function followParent (cleanUp = () => {}) {
  // Ctrl-C reaches the whole process group: the parent answers it by ending both.
  process.on('SIGINT', () => {})
  process.once('disconnect', () => {
    cleanUp()
    process.exit(1)
  })
  // The process is to end by itself when its connection is closed: the demo shows that, too.
  process.channel.unref()
}

export function fail (error) {
  tell({ type: 'failed', reason: error.message })
  process.exitCode = 1
}

/** Calls report ten times a second, which is more than anybody reads. The timer does not keep the process alive. */
export function everyTenth (report) {
  return setInterval(report, 100).unref()
}
