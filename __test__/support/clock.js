'use strict'

// A clock that stands until it is moved. Timers of other kinds are not expected meanwhile.
function clock (t) {
  let now = 0
  const timers = new Set()
  t.mock.method(performance, 'now', () => now)
  t.mock.method(globalThis, 'setTimeout', (fn, ms, ...args) => {
    const timer = { at: now + ms, run: () => fn(...args), unref: () => timer }
    timers.add(timer)
    return timer
  })
  t.mock.method(globalThis, 'clearTimeout', (timer) => timers.delete(timer))
  return {
    now: () => now,
    advance (ms) {
      for (const end = now + ms; ;) {
        const [next] = [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)
        now = next === undefined ? end : next.at
        if (next === undefined) return
        timers.delete(next)
        next.run()
      }
    }
  }
}

module.exports = { clock }
