// Opens many streams: over one connection, or over several if one has no room for all.

// Opens that wait for their acknowledgement at the same time on one connection.
const PARALLEL = 64

export function openStream (connection, meta) {
  return new Promise((resolve) => connection.open(meta, resolve))
}

async function openSome (connection, count, streams) {
  let left = count
  const worker = async () => {
    while (left-- > 0) streams.push(await openStream(connection, { n: left }))
  }
  await Promise.all(Array.from({ length: Math.min(PARALLEL, count) }, worker))
}

/** Resolves with { connections, streams }. The caller can look at the array `streams` meanwhile. */
export async function openStreams (side, count, streams = []) {
  const connections = []
  const number = Math.ceil(count / side.features.maxStreams) || 1
  for (let index = 0; index < number; index++) connections.push(await side.connect())
  // The streams are spread evenly, so that no connection is nearly empty.
  await Promise.all(connections.map((connection, index) => {
    const share = Math.floor((index + 1) * count / number) - Math.floor(index * count / number)
    return openSome(connection, share, streams)
  }))
  return { connections, streams }
}
