// The cost of things that do nothing: resident memory before and after there are many of them, at both ends, and the
// proof that they are still alive.

import { check } from './side.mjs'

// Milliseconds between two looks at the memory; see settledMemory.
const INTERVAL = 100

// The young generation would grow by megabytes while things are opened, and would be counted as their memory.
export const flags = ['--max-semi-space-size=1']

async function isReached (value, target) {
  // Nothing is timed here, so 10 ms do.
  while (value() < target) await new Promise((resolve) => setTimeout(resolve, 10))
}

/** `what` is 'streams' or 'connections'. */
export async function idleServer (side, what) {
  const seen = { connections: 0, streams: 0 }
  let arrived = 0
  // One listener serves all: the harness must not add to what is measured.
  const onData = (data) => { arrived += data.length }
  const onStream = (stream) => {
    seen.streams++
    stream.on('data', onData)
  }
  await side.listen((connection) => {
    seen.connections++
    connection.onStream(onStream)
  })
  side.partial = () => ({ ...seen, arrived })
  const reach = async (word, value) => {
    const target = await side.hear(word)
    await side.notStalled(isReached(value, target), value, () => `${value()} of ${target} ${word}`)
    side.tell(`${word} reached`)
  }
  const settle = async () => {
    await side.hear('settled')
    const memory = await side.settledMemory(INTERVAL)
    side.tell('settled')
    return memory
  }
  await reach('opened', () => seen[what])
  await reach('messages arrived', () => arrived)
  const before = await settle()
  await reach('opened', () => seen[what])
  const after = await settle()
  await reach('messages arrived', () => arrived)
  return { before, after, count: seen[what] }
}

/** `open(number)` opens that many; `prove()` resolves with streams of them, over which a message is to arrive. */
export async function idleClient (side, { open, prove }) {
  const { count, beside } = side.params
  const byte = Buffer.from([1])
  const agree = async (word, value) => {
    side.tell(word, value)
    await side.hear(`${word} reached`)
  }
  let written = 0
  const write = (streams) => {
    for (const stream of streams) stream.write(byte)
    written += streams.length
    return agree('messages arrived', written)
  }
  // Some are opened first, and stay: code, tables and buffers that come with them are no memory of each of the others.
  const others = await open(beside)
  await agree('opened', beside)
  await write(await prove(others))
  side.tell('settled')
  const before = await side.settledMemory(INTERVAL)
  await side.hear('settled')
  const held = await open(count)
  await agree('opened', beside + count)
  side.tell('settled')
  const after = await side.settledMemory(INTERVAL)
  await side.hear('settled')
  await write(await prove(held))
  return { before, after }
}

/** Every hundredth of a list: enough to prove the list alive, and few enough to be quick. */
export function sample (list) {
  return list.filter((_, index) => index % 100 === 0)
}

export function summarize ({ server, client, params }) {
  check(server.before > 0 && client.before > 0, 'no memory was measured')
  const opened = params.beside + params.count
  check(server.count >= opened, `${server.count} of ${opened} were accepted`)
  return {
    server: (server.after - server.before) / params.count,
    client: (client.after - client.before) / params.count
  }
}
