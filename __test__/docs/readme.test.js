'use strict'

// README.md keeps its word: its programs run and print what stands there, and what it names exists.

const test = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { readDocument, start, root } = require('../support/document.js')
const errors = require('../../lib/errors.js')
const { version, engines, scripts } = require('../../package.json')

const readme = readDocument('README.md')

// The example that listens stands first.
const PAIRS = [
  ['server-creates.js', 'client-accepts.js', 'client-accepts.js'],
  ['server-accepts.js', 'client-creates.js', 'server-accepts.js']
]

function take (blocks, name) {
  assert.ok(blocks.has(name), `README.md has no block called ${name}`)
  return blocks.get(name)
}

for (const [serverName, clientName, printing] of PAIRS) {
  test(`${serverName} and ${clientName} of README.md run, and ${printing} prints what stands there`, async (t) => {
    const expected = take(readme.outputs, printing)
    const server = start(t, serverName, take(readme.programs, serverName))
    const client = start(t, clientName, take(readme.programs, clientName), await server.port())
    assert.equal(await (printing === serverName ? server : client).printed(expected), expected, client.stderr)
    assert.equal(server.code, undefined, server.stderr)
    assert.equal(client.code, undefined, client.stderr)
  })
}

const ALONE = ['promises.mjs', 'secure.mjs']

for (const name of ALONE) {
  test(`${name} of README.md runs, prints what stands there and ends`, async (t) => {
    const program = start(t, name, take(readme.programs, name))
    assert.equal(await program.exit(), 0, program.stderr)
    assert.equal(program.stdout, take(readme.outputs, name))
  })
}

test('README.md has no example that no test runs', () => {
  assert.deepEqual([...readme.programs.keys()].sort(), [...PAIRS.flatMap(([a, b]) => [a, b]), ...ALONE].sort())
  assert.deepEqual([...readme.outputs.keys()].sort(), [...PAIRS.map(([, , name]) => name), ...ALONE].sort())
})

for (const [serverName, clientName, printing] of PAIRS) {
  test(`examples/${serverName} and examples/${clientName} run`, async (t) => {
    const source = (name) => fs.readFileSync(path.join(root, 'examples', name), 'utf8')
      .replace('Number(process.argv[2] ?? 12345)', '12345')
    assert.match(source(serverName), /Server\(12345\)/)
    assert.match(source(clientName), /Client\(12345, /)
    const server = start(t, serverName, source(serverName))
    const port = await server.port()
    const client = start(t, clientName, source(clientName), port)
    const said = readme.outputs.get(printing).trim().split('\n').at(-1)
    const listening = `listening on port ${port}\n`
    const expected = printing === serverName
      ? `${listening}stream { type: 'update' }\ndata ${said}\nend\n`
      : `stream { type: 'update', file: 'xy.js' }\ndata ${said}\nend\n`
    assert.equal(await (printing === serverName ? server : client).printed(expected), expected, client.stderr)
    assert.equal(await client.exit(), 0, client.stderr)
  })
}

test('the files, commands, versions and error codes that README.md names exist', () => {
  const { text } = readme
  const slugs = new Map()
  const anchors = (file) => {
    if (!slugs.has(file)) {
      const headings = fs.readFileSync(path.join(root, file), 'utf8').matchAll(/^#+ (.+)$/gm)
      slugs.set(file, [...headings].map(([, title]) => title.toLowerCase().replace(/[^\w\- ]/g, '').replace(/ /g, '-')))
    }
    return slugs.get(file)
  }
  for (const [, target] of text.matchAll(/\]\(([^)]+)\)/g)) {
    const [file, anchor] = target.split('#')
    assert.ok(fs.existsSync(path.join(root, file)), `README.md links to ${file}`)
    if (anchor !== undefined) assert.ok(anchors(file).includes(anchor), `README.md links to ${target}`)
  }
  for (const [, script] of text.matchAll(/npm run ([\w:]+)/g)) {
    assert.ok(scripts[script] !== undefined, `README.md names the script ${script}`)
  }
  for (const [, named] of text.matchAll(/-(\d+\.\d+\.\d+)\.tgz/g)) assert.equal(named, version)
  const [, oldest] = /for Node\.js (\d+) and later/.exec(text)
  assert.equal(engines.node, `>=${oldest}`)
  const [, rust] = /Rust (\d+\.\d+) or later/.exec(text)
  assert.match(fs.readFileSync(path.join(root, 'Cargo.toml'), 'utf8'), new RegExp(`^rust-version = "${rust}"$`, 'm'))
  const codes = [...errors.CALLER_CODES, ...errors.STREAM_CODES, ...errors.PEER_CODES,
    ...errors.DROP_CODES, ...errors.PROXY_CODES, ...errors.INTERNAL_CODES]
  for (const [code] of text.matchAll(/ERR_MUX_\w+/g)) assert.ok(codes.includes(code), code)
})
