'use strict'

// docs/API.md and the code say the same, in both directions: every member, event, option, default, limit and error
// code.

const test = require('node:test')
const assert = require('node:assert/strict')
const dns = require('node:dns')
const { EventEmitter } = require('node:events')
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { Duplex } = require('node:stream')
const { readDocument, start, root } = require('../support/document.js')
const { Muxer, connectPair, openPair } = require('../support/mux.js')
const { tlsCodes } = require('../support/tls-codes.js')
const errors = require('../../lib/errors.js')
const options = require('../../lib/options.js')

const api = readDocument('docs/API.md')
const declarations = fs.readFileSync(path.join(root, 'index.d.ts'), 'utf8')

const sources = fs.readdirSync(path.join(root, 'lib')).filter((name) => name.endsWith('.js'))
  .map((name) => [name, fs.readFileSync(path.join(root, 'lib', name), 'utf8')])

// The text from one heading to the next of its level.
function section (heading) {
  const level = /^#+/.exec(heading)[0]
  const start = `${api.text}\n`.indexOf(`\n${heading}\n`)
  assert.notEqual(start, -1, `docs/API.md has no heading "${heading}"`)
  const rest = api.text.slice(start + heading.length + 2)
  const end = rest.search(new RegExp(`^#{1,${level.length}} `, 'm'))
  return end === -1 ? rest : rest.slice(0, end)
}

// The rows of the table whose first column has this title, as objects by the titles of the columns.
function table (text, title) {
  const lines = text.split('\n')
  const head = lines.findIndex((line) => line.startsWith(`| ${title} |`))
  assert.notEqual(head, -1, `docs/API.md has no table of "${title}"`)
  const cells = (line) => line.slice(1, -1).split('|').map((cell) => cell.trim())
  const titles = cells(lines[head])
  const rows = []
  for (let i = head + 2; lines[i].startsWith('|'); i++) {
    const row = cells(lines[i])
    assert.equal(row.length, titles.length, lines[i])
    rows.push(Object.fromEntries(titles.map((name, column) => [name, row[column]])))
  }
  return rows
}

const bare = (cell) => cell.replace(/^`|`$/g, '')

// What the headings and the tables of a class name as `prefix.member`.
function members (text, prefix) {
  const names = [...text.matchAll(new RegExp(`^(?:### |\\| \`)${prefix}\\.(\\w+)`, 'gm'))].map(([, name]) => name)
  assert.equal(new Set(names).size, names.length, `${prefix} has a member twice`)
  return names.sort()
}

function events (text) {
  return [...text.matchAll(/^### Event: '(\w+)'/gm)].map(([, name]) => name).sort()
}

const isPublic = (name) => typeof name === 'string' && !/^(_.*|constructor|domain)$/.test(name)

// Own properties, and those of the classes down to `base`.
function publicNames (object, base) {
  const names = new Set()
  for (let at = object; at !== base.prototype; at = Object.getPrototypeOf(at)) {
    // What an EventEmitter has is told by its name.
    for (const name of Reflect.ownKeys(at)) if (isPublic(name) && !(name in EventEmitter.prototype)) names.add(name)
  }
  return [...names].sort()
}

test('docs/API.md has every member of server, client, connection and pool, and no other', async (t) => {
  const { server, con, client } = await connectPair(t)
  assert.deepEqual(members(section('## Class: MuxServer'), 'server'), publicNames(server, EventEmitter))
  assert.deepEqual(members(section('## Class: MuxClient'), 'client'), publicNames(client, EventEmitter))
  assert.deepEqual(members(section('## Class: Connection'), 'con'), publicNames(con, EventEmitter))
  assert.deepEqual(members(section('## Class: StreamPool'), 'pool'), publicNames(con.StreamPool, Object))
  assert.deepEqual(members(section('## util'), 'util'), Object.keys(Muxer.util).sort())
  assert.equal(typeof server[Symbol.asyncDispose], 'function')
  assert.deepEqual(table(section('## Class: Connection'), 'count').map(({ count }) => bare(count)).sort(),
    Object.keys(con.stats()).sort())
})

test('every member of MuxStream beyond Duplex stands in docs/API.md, and no other', async (t) => {
  const { con, client } = await connectPair(t)
  const { creator, acceptor } = await openPair(client, con)
  const documented = members(section('## Class: MuxStream'), 'stream')
  for (const stream of [creator, acceptor]) {
    for (const name of documented) assert.ok(name in stream, name)
    // Those that every EventEmitter and Duplex has are told by their names.
    const inherited = ['on', 'addListener', 'allowHalfOpen', 'emit']
    const own = publicNames(stream, Duplex).filter((name) => !inherited.includes(name))
    assert.deepEqual(own.filter((name) => !documented.includes(name)), [])
  }
})

test('what the package exports stands in the first lines of docs/API.md', () => {
  const [, names] = /const \{ ([\w, ]+) \} = require\('tcp-stream-muxer'\)/.exec(api.text)
  assert.deepEqual(names.split(', ').sort(), Object.keys(Muxer).sort())
})

// Where the code emits: `x.emit('name'` and `emit(context, x, 'name'`, x being a class's usual name or `this`.
function emitted () {
  const targets = { server: 'MuxServer', client: 'MuxClient', connection: 'Connection', stream: 'MuxStream' }
  const files = {
    'server.js': 'MuxServer', 'client.js': 'MuxClient', 'connection.js': 'Connection', 'stream.js': 'MuxStream',
    'stream-socket.js': 'MuxStream'
  }
  const found = { MuxServer: new Set(), MuxClient: new Set(), Connection: new Set(), MuxStream: new Set() }
  for (const [file, source] of sources) {
    for (const [, first, second, third, name] of
      source.matchAll(/(?:\b(\w+)\.emit\(|\bemit\([\w.]+, (\w+), |emit, (\w+), )'(\w+)'/g)) {
      const target = first ?? second ?? third ?? 'this'
      const owner = target === 'this' ? files[file] : targets[target]
      assert.ok(owner, `lib/${file} emits '${name}' on something this test does not know`)
      found[owner].add(name)
    }
    // What a connection tells its client passes on.
    for (const [, name] of source.matchAll(/\b_tell\('(\w+)'/g)) {
      found.Connection.add(name)
      found.MuxClient.add(name)
    }
  }
  return found
}

test('every event stands in docs/API.md, and no other', () => {
  const found = emitted()
  // Emitted by Node's streams, on our behalf.
  for (const name of ['end', 'finish', 'error', 'close']) found.MuxStream.add(name)
  // Passed on by its owner, from this connection.
  found.Connection.add('error')
  for (const [name, inCode] of Object.entries(found)) {
    assert.deepEqual(events(section(`## Class: ${name}`)), [...inCode].sort(), name)
  }
})

// ---- options ----

function defaultOf (cell) {
  if (cell === 'none') return undefined
  return Function('net', 'dns', `return (${bare(cell)})`)(net, dns)
}

const OPTION_TABLES = [
  ['server option', (set) => options.serverOptions(set), ({ listens, ...checked }) => ({ noServer: !listens && checked.server === undefined, ...checked }), {}, ['connection']],
  ['client option', (set) => options.clientOptions(set), (checked) => checked, { port: 1 }, ['connection']],
  ['connection option', (set) => options.serverOptions(set), (checked) => checked.connection, {}, []],
  ['stream option', (set) => options.streamOptions(set), (checked) => checked, {}, []]
]

for (const [title, check, part, least, inner] of OPTION_TABLES) {
  const rows = table(api.text, title).map((row) => ({ ...row, name: bare(row[title]) }))

  test(`the table of each ${title} names those that the code takes`, () => {
    const taken = Object.keys(part(check(least))).filter((name) => !inner.includes(name))
    assert.deepEqual(rows.map(({ name }) => name).sort(), taken.sort())
    for (const { name } of rows) assert.match(declarations, new RegExp(`^  ${name}\\?: `, 'm'), name)
  })

  test(`the table of each ${title} has the defaults of the code`, () => {
    const checked = part(check(least))
    for (const { name, default: cell } of rows) {
      if (name in least) {
        assert.throws(() => check({}), { code: 'ERR_MUX_INVALID_ARG' })
      } else if (name === 'lookup') {
        // The default of this one is taken where it is used.
        assert.equal(cell, '`dns.lookup`')
        assert.match(sources.find(([file]) => file === 'client.js')[1], /options\.lookup \|\| dns\.lookup/)
      } else {
        assert.equal(checked[name], defaultOf(cell), name)
      }
    }
  })

  test(`the table of each ${title} has the limits of the code`, () => {
    for (const { name, type, limits } of rows) {
      const range = /^(\d+) to (\d+)$/.exec(limits)
      assert.equal(range !== null, type.startsWith('integer'), `${name}: an integer has limits, nothing else has`)
      if (range === null) continue
      const [least, most] = range.slice(1).map(Number)
      for (const value of [least, most]) check({ port: 1, [name]: value })
      for (const value of [least - 1, most + 1, least + 0.5]) {
        assert.throws(() => check({ port: 1, [name]: value }), { name: 'TypeError', code: 'ERR_MUX_INVALID_ARG' },
          `${name}: ${value}`)
      }
    }
  })

  test(`the table of each ${title} has the types of the code`, () => {
    for (const { name, type } of rows) {
      // One of each kind; what is not among an option's types is refused.
      const values = { boolean: true, integer: 5, string: '::1', function: () => {}, AbortSignal: AbortSignal.abort() }
      for (const [kind, value] of Object.entries(values)) {
        const quoted = /^\d|^`'/.test(type)
        if (quoted || type.includes(kind) || (kind === 'integer' && type.includes('number'))) continue
        if (kind === 'AbortSignal' && /\bobject$/.test(type)) continue
        assert.throws(() => check({ port: 1, [name]: value }), { code: 'ERR_MUX_INVALID_ARG' }, `${name}: ${kind}`)
      }
      for (const [value] of type.matchAll(/(?<=`')\w+(?='`)/g)) check({ port: 1, [name]: value })
    }
  })
}

test('the stated size of what can be sent as JSON is that of the code', () => {
  assert.equal(options.MAX_JSON, 4 * 1024 * 1024)
  assert.match(section('### pool.createStream(meta[, options][, callback])'), /at most 4 MiB as JSON/)
})

// ---- errors ----

test('the tables of error codes are those of the code, classes included', () => {
  const caller = table(section('### The caller'), 'code')
  assert.deepEqual(caller.map(({ code }) => bare(code)).sort(), [...errors.CALLER_CODES].sort())
  for (const { code, class: name } of caller) {
    assert.equal(Object.getPrototypeOf(errors.callerError(bare(code), '', '', '')).constructor.name, name, code)
  }
  const stream = table(section('### One stream'), 'code')
  assert.deepEqual(stream.map(({ code }) => bare(code)).sort(), [...errors.STREAM_CODES].sort())
  for (const { code, property } of stream) {
    assert.equal(property === '' ? undefined : errors.streamError(bare(code), 7)[bare(property)],
      property === '' ? undefined : 7, code)
  }
  const drop = table(section('### A server that lets nobody in'), 'code')
  assert.deepEqual(drop.map(({ code }) => bare(code)).sort(), [...errors.DROP_CODES].sort())
  for (const { code } of drop) assert.equal(errors.dropError(bare(code)).constructor, Error, code)
  const proxy = table(section('### A load balancer'), 'code')
  assert.deepEqual(proxy.map(({ code }) => bare(code)).sort(), [...errors.PROXY_CODES].sort())
  const peer = table(section('### The peer'), 'code')
  assert.deepEqual(peer.map(({ code }) => bare(code)).sort(), [...errors.PEER_CODES].sort())
})

test('error codes that the code or the document names anywhere stand in its tables', () => {
  const ours = [...errors.CALLER_CODES, ...errors.STREAM_CODES, ...errors.PEER_CODES,
    ...errors.DROP_CODES, ...errors.PROXY_CODES, ...errors.INTERNAL_CODES]
  for (const [code] of api.text.matchAll(/ERR_MUX_\w+/g)) assert.ok(ours.includes(code), code)
  const nodes = table(section('### The caller').slice(section('### The caller').indexOf("Of Node's own")), 'code')
    .map(({ code }) => bare(code))
  const warnings = table(section('### Process warnings'), 'code').map(({ code }) => bare(code))
  const documented = [...ours, ...nodes, ...warnings, ...tlsCodes(api.text)]
  for (const [file, source] of sources) {
    for (const [, code] of source.matchAll(/'((?:ERR|MUX)_[A-Z_]+|ABORT_ERR)'/g)) {
      assert.ok(documented.includes(code), `lib/${file}: ${code}`)
    }
  }
  const all = sources.map(([, source]) => source).join('\n')
  for (const code of [...nodes.filter((code) => !code.endsWith('…')), ...warnings]) {
    assert.ok(all.includes(`'${code}'`), `${code} stands in docs/API.md only`)
  }
})

test('every public member stands in index.d.ts', async (t) => {
  const { server, con, client } = await connectPair(t)
  const declared = (name) => {
    const [, body] = new RegExp(`^export class ${name} [^]*?\\{\n([^]*?)^\\}`, 'm').exec(declarations)
    return new Set([...body.matchAll(/^ {2}(?:readonly )?(\w+)(?= ?\(|\??:)/gm)].map(([, member]) => member))
  }
  for (const [name, object] of [['MuxServer', server], ['MuxClient', client], ['Connection', con]]) {
    const names = declared(name)
    assert.deepEqual(publicNames(object, EventEmitter).filter((member) => !names.has(member)), [], name)
  }
})

// ---- examples ----

for (const [name, source] of api.programs) {
  test(`${name} of docs/API.md runs, prints what stands there and ends`, async (t) => {
    assert.ok(api.outputs.has(name))
    const program = start(t, name, source)
    assert.equal(await program.exit(), 0, program.stderr)
    assert.equal(program.stdout, api.outputs.get(name))
    assert.equal(program.stderr, '')
  })
}
