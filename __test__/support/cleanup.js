'use strict'

// What a test opens is closed when it ends, last opened first: clients before the servers they are connected to.

const lists = new WeakMap()

function cleanup (t, close) {
  let list = lists.get(t)
  if (list === undefined) {
    list = []
    lists.set(t, list)
    t.after(async () => {
      for (const each of list.reverse()) await each()
    })
  }
  list.push(close)
}

module.exports = { cleanup }
