'use strict'

// The peer's JSON: accepted exactly when JSON.parse accepts it, within limits of our own.

const test = require('node:test')
const assert = require('node:assert/strict')
const fc = require('fast-check')
const { frame, connectWire, hex } = require('../support/wire.js')
const { eventually, nextEvent, within } = require('../support/events.js')
const { connectPair, startServer } = require('../support/mux.js')
const { arena } = require('../support/healthy.js')

const MiB = 1024 * 1024
const nested = (depth) => '['.repeat(depth) + ']'.repeat(depth)

// What JSON.parse makes of the bytes, as a string decoded the way 0.1.0 did.
function expectation (bytes) {
  try {
    return { value: JSON.parse(bytes.toString()) }
  } catch {
    return { code: 'ERR_MUX_JSON_INVALID' }
  }
}

// One old client after the other: it opens a stream per text, and is replaced when a text has cost it its connection.
async function jsonWire (t, options) {
  const server = await startServer(t, options)
  let peer
  let con
  async function connect () {
    const accepted = nextEvent(server, 'connection')
    peer = await connectWire(t, server.address().port)
    con = (await accepted)[0]
  }
  return async function outcome (bytes) {
    if (peer === undefined) await connect()
    const announced = new Promise((resolve) => con.once('stream', (stream) => resolve({ value: stream.meta })))
    const refused = new Promise((resolve) => con.once('error', (error) => resolve({ code: error.code })))
    peer.send(frame(0, 2, bytes))
    const result = await within(Promise.race([announced, refused]), 'the judgement')
    if (result.code === undefined) peer.send('0000000a 00 03 6e756c6c')
    else peer = undefined
    con.removeAllListeners('error')
    if (peer !== undefined) con.on('error', () => {})
    return result
  }
}

const TEXTS = [
  'null', 'true', 'false', '0', '-0', '1', '-1', '1.5', '1e5', '1E+5', '1e-5', '0.1e1', '123456789012345678901234567890',
  '1e400', '-1e400', '1e-400', '9007199254740993', '0.1', '5e-324', '2.2250738585072011e-308',
  '""', '"a"', '"\\u0041"', '"\\ud83d\\ude00"', '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\\b\\f\\n\\r\\t\\/\\\\\\""',
  '"\u2028\u2029"', '"\u007f"', '"😀"', '[]', '{}', '[1,2]', '{"a":{"b":[]}}', ' [ 1 , 2 ] ', '\t\r\n 1 \t\r\n',
  '{"a":1,"a":2}', '{"__proto__":1}', '{"constructor":{"prototype":{}}}', '{"":0}',
  // and what is no JSON
  '', ' ', 'nul', 'nulll', 'NULL', 'True', 'undefined', 'NaN', 'Infinity', '-Infinity', '+1', '01', '-', '-01', '1.', '.5',
  '1e', '1e+', '0x10', '1_000', '1n', "'a'", '"', '"a', '"\\"', '"\\x41"', '"\\u12"', '"\\u12g4"', '"\t"', '"\n"', '"\u0000"',
  '"\u001f"', '[', ']', '[1', '[1,', '[1,]', '[,1]', '[1 2]', '{', '}', '{"a"}', '{"a":}', '{"a":1,}', '{a:1}', '{1:1}',
  '{"a":1 "b":2}', '1 2', 'null null', '[]]', '{}}', '\u00a01', '1\u00a0', '\f1', '\v1', '\ufeff1', '1\ufeff', '\u20281',
  '// c\n1', '/* c */1', '1//', '"a" "b"', '\0', '1\0', '[1]\0'
]

const BYTES = [
  '22ff22', '22c322', '22c3', '22e28222', '22f09f9822', '22eda08022', '22c0af22', '22f8888080 8022', 'ff', '31ff', 'efbbbf31',
  '7b22ff223a317d', '5b22fe22 2c22ff225d', '22f4908080 22', '22c3a922'
].map(hex)

for (const [what, inputs] of [['texts', TEXTS.map((text) => Buffer.from(text))], ['bytes that are no UTF-8', BYTES]]) {
  test(`chosen ${what} are accepted as meta exactly when JSON.parse accepts them, with the same value`, async (t) => {
    const outcome = await jsonWire(t)
    for (const bytes of inputs) {
      assert.deepEqual(await outcome(bytes), expectation(bytes), `for ${JSON.stringify(bytes.toString())}`)
    }
  })
}

test('random JSON values are accepted as meta and come out equal', async (t) => {
  const outcome = await jsonWire(t)
  const texts = fc.oneof(
    fc.json({ maxDepth: 6, noUnicodeString: false }),
    fc.json({ maxDepth: 3, stringUnit: 'binary' }),
    fc.jsonValue().map((value) => JSON.stringify(value, null, 1)),
    fc.double().map((value) => JSON.stringify(value)),
    fc.bigInt().map(String)
  )
  await fc.assert(fc.asyncProperty(texts, async (text) => {
    const bytes = Buffer.from(text)
    assert.deepEqual(await outcome(bytes), expectation(bytes))
  }), { numRuns: 1500, seed: 2 })
})

// Edits that keep a text close to JSON: most of what a parser gets wrong is one byte away from what it gets right.
const ALPHABET = Buffer.from(' \t\n\r"\\/{}[],:0123456789+-.eEtrufalsn\0\x1f\x7f\x80\xbf\xc3\xe2\xed\xa0\xf0\xffbdBD8', 'latin1')
const edit = fc.record({
  kind: fc.constantFrom('insert', 'delete', 'replace', 'swap', 'cut'),
  at: fc.nat(),
  byte: fc.nat(ALPHABET.length - 1).map((index) => ALPHABET[index])
})

function mutate (bytes, { kind, at, byte }) {
  const copy = [...bytes]
  const index = at % (copy.length + 1)
  if (kind === 'insert') copy.splice(index, 0, byte)
  else if (kind === 'delete') copy.splice(index, 1)
  else if (kind === 'replace') copy.splice(index, 1, byte)
  else if (kind === 'cut') copy.length = index
  else copy.push(...copy.splice(index, 1))
  return Buffer.from(copy)
}

test('mutated JSON texts are accepted as meta exactly when JSON.parse accepts them', async (t) => {
  const outcome = await jsonWire(t)
  const mutated = fc.tuple(
    fc.oneof(fc.json({ maxDepth: 3 }), fc.constantFrom(...TEXTS)),
    fc.array(edit, { minLength: 1, maxLength: 3 })
  ).map(([text, edits]) => edits.reduce(mutate, Buffer.from(text)))
  await fc.assert(fc.asyncProperty(mutated, async (bytes) => {
    assert.deepEqual(await outcome(bytes), expectation(bytes))
  }), { numRuns: 2500, seed: 3 })
})

test('random bytes of a JSON alphabet are accepted as meta exactly when JSON.parse accepts them', async (t) => {
  const outcome = await jsonWire(t)
  const random = fc.array(fc.constantFrom(...ALPHABET), { maxLength: 6 }).map((bytes) => Buffer.from(bytes))
  await fc.assert(fc.asyncProperty(random, async (bytes) => {
    assert.deepEqual(await outcome(bytes), expectation(bytes))
  }), { numRuns: 1500, seed: 4 })
})

// ---- limits -------------------------------------------------------------------------------------------------------

test('meta that is no JSON is ERR_MUX_JSON_INVALID', async (t) => {
  const { refuses, healthy } = await arena(t)
  for (const text of ['{', '', 'nul', '{"a":1', 'text']) await refuses(frame(0, 2, text), 'ERR_MUX_JSON_INVALID')
  await healthy.check()
})

test('an end value or JSON data that is no JSON is ERR_MUX_JSON_INVALID', async (t) => {
  const { refuses, healthy } = await arena(t)
  for (const type of [1, 3]) {
    for (const text of ['{', '', 'nul']) {
      await refuses(Buffer.concat([frame(0, 2, 'null'), frame(0, type, text)]), 'ERR_MUX_JSON_INVALID')
    }
  }
  await healthy.check()
})

test('meta above 4 MiB is ERR_MUX_JSON_TOO_LARGE, by its header alone', async (t) => {
  const { refuses, attack, healthy } = await arena(t)
  const head = hex('00000000 00 02 22')
  head.writeUInt32BE(6 + 4 * MiB + 1)
  await refuses(head, 'ERR_MUX_JSON_TOO_LARGE')
  assert.equal(await attack(frame(0, 2, JSON.stringify('x'.repeat(4 * MiB - 2))), { finish: true }), undefined)
  await healthy.check()
})

test('maxMetaSize and maxEndValueSize set the limits', async (t) => {
  const { refuses, attack, healthy } = await arena(t, { maxMetaSize: 100, maxEndValueSize: 50 })
  const text = (size) => JSON.stringify('x'.repeat(size - 2))
  const opened = frame(0, 2, 'null')
  assert.equal(await attack(frame(0, 2, text(100)), { finish: true }), undefined)
  await refuses(frame(0, 2, text(101)), 'ERR_MUX_JSON_TOO_LARGE')
  for (const type of [1, 3]) {
    assert.equal(await attack(Buffer.concat([opened, frame(0, type, text(50))]), { finish: true }), undefined)
    await refuses(Buffer.concat([opened, frame(0, type, text(51))]), 'ERR_MUX_JSON_TOO_LARGE')
  }
  await healthy.check()
})

test('JSON of depth 512 is accepted and of depth 513 is ERR_MUX_JSON_TOO_DEEP', async (t) => {
  const { refuses, attack, healthy } = await arena(t)
  const opened = frame(0, 2, 'null')
  assert.equal(await attack(frame(0, 2, nested(512)), { finish: true }), undefined)
  const objects = '{"a":'.repeat(512) + '1' + '}'.repeat(512)
  assert.equal(await attack(frame(0, 2, objects), { finish: true }), undefined)
  await refuses(frame(0, 2, nested(513)), 'ERR_MUX_JSON_TOO_DEEP')
  await refuses(Buffer.concat([opened, frame(0, 1, nested(513))]), 'ERR_MUX_JSON_TOO_DEEP')
  await refuses(Buffer.concat([opened, frame(0, 3, nested(513))]), 'ERR_MUX_JSON_TOO_DEEP')
  await healthy.check()
})

test('megabytes of brackets overflow no stack', async (t) => {
  const { refuses, attack, healthy } = await arena(t)
  await refuses(frame(0, 2, nested(2 * MiB)), 'ERR_MUX_JSON_TOO_DEEP')
  await refuses(frame(0, 2, '['.repeat(4 * MiB)), 'ERR_MUX_JSON_TOO_DEEP')
  await refuses(frame(0, 2, '{"a":'.repeat(800_000)), 'ERR_MUX_JSON_TOO_DEEP')
  // Wide is not deep.
  assert.equal(await attack(frame(0, 2, `[${'[],'.repeat(1_000_000)}[]]`), { finish: true }), undefined)
  await healthy.check()
})

test('maxJsonDepth sets the limit', async (t) => {
  const { refuses, attack, healthy } = await arena(t, { maxJsonDepth: 3 })
  assert.equal(await attack(frame(0, 2, '{"a":[{"b":1},{"c":2}]}'), { finish: true }), undefined)
  await refuses(frame(0, 2, '{"a":[{"b":[]}]}'), 'ERR_MUX_JSON_TOO_DEEP')
  await healthy.check()
})

test('brackets inside strings do not count as depth', async (t) => {
  const { attack } = await arena(t, { maxJsonDepth: 2 })
  const metas = []
  const text = JSON.stringify(['[[[[{{{{"\\"[['])
  assert.equal(await attack(frame(0, 2, text), { finish: true, onStream: ({ meta }) => metas.push(meta) }), undefined)
  assert.deepEqual(metas, [['[[[[{{{{"\\"[[']])
})

for (const protocol of ['auto', 'legacy']) {
  for (const event of ['end', 'close']) {
    test(`metas that a program first looks at in '${event}' do not add up (${protocol})`, async (t) => {
      const { con, client } = await connectPair(t, { server: { protocol, maxMetaTotal: 8192 }, client: { protocol } })
      const seen = []
      con.on('stream', (stream) => stream.resume().once(event, () => seen.push(stream.meta.length)))
      for (let number = 0; number < 20; number++) {
        const stream = await client.StreamPool.createStream('m'.repeat(2000))
        const closed = nextEvent(stream, 'close')
        stream.end()
        await closed
      }
      await eventually(() => seen.length === 20, 'all of them')
      assert.deepEqual(seen, Array(20).fill(2000))
      assert.equal(con.destroyed, false)
    })
  }
}
