// The bytes of an attacker that writes the wire itself: legacy frames, QMux records, and lines for a plain socket.

const MAPPING = 0x3254534d58000001n
const RECORD_SIZE = 0x0571c59429cd0845n
const PARAMETERS = 0x3f5153300d0a0d0an

function varint (value) {
  const n = BigInt(value)
  if (n < 64n) return Buffer.from([Number(n)])
  const size = n < 16384n ? 2 : n < 1n << 30n ? 4 : 8
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(n)
  bytes[8 - size] |= Math.log2(size) << 6
  return bytes.subarray(8 - size)
}

const concat = (...parts) => Buffer.concat(parts.map((part) => Buffer.isBuffer(part) ? part : varint(part)))

const record = (...frames) => {
  const body = concat(...frames)
  return concat(body.length, body)
}

const parameter = (id, value) => {
  const bytes = varint(value)
  return concat(id, bytes.length, bytes)
}

// The first bytes of a new end of this package.
function begin () {
  const parameters = concat(parameter(4, 1 << 30), parameter(5, 1 << 30), parameter(6, 1 << 30), parameter(8, 1 << 20),
    parameter(RECORD_SIZE, 65552), parameter(MAPPING, 1))
  return record(concat(PARAMETERS, parameters.length, parameters))
}

const openFrame = (id, meta) => concat(0x3a, id, meta.length + varint(meta.length).length, meta.length, meta)
const repeat = (count, make) => Buffer.concat(Array.from({ length: count }, (_, i) => make(i)))

function legacyFrame (id, type, payload) {
  const head = Buffer.alloc(6)
  head.writeUInt32BE(payload.length + 6)
  head[4] = id
  head[5] = type
  return Buffer.concat([head, payload])
}

const NULL = Buffer.from('null')

// The bytes of a whole connection each: a number of streams, each opened and at once ended, reset or stopped.

export const opens = () => concat(begin(), repeat(256, (i) => record(concat(0x3b, 4 * i, 5, 4, NULL))))

export const resets = () => concat(begin(), repeat(256, (i) => record(openFrame(4 * i, NULL), concat(4, 4 * i, 7, 5))))

export const stops = () => concat(begin(), repeat(256, (i) => record(openFrame(4 * i, NULL), concat(5, 4 * i, 7))))

export const legacyOpens = (meta = NULL, count = 256) =>
  repeat(count, (i) => Buffer.concat([legacyFrame(i, 2, meta), legacyFrame(i, 3, NULL)]))

/** The requests to a plain server: a line for each stream. */
export const lines = (count, meta = NULL) => repeat(count, () => Buffer.concat([meta, Buffer.from('\n')]))
