'use strict'

// docs/API.md and the code say the same of TLS: options, what has no counterpart, codes.

const test = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { readDocument, root } = require('../support/document.js')
const { identity } = require('../support/tls.js')
const { nativeCodes, tlsCodes } = require('../support/tls-codes.js')
const { clientOptions, serverOptions } = require('../../lib/options.js')

const { text } = readDocument('docs/API.md')
const declarations = fs.readFileSync(path.join(root, 'index.d.ts'), 'utf8')

// The rows of the table whose head begins so, as lists of cells.
function rows (head) {
  const lines = text.split('\n')
  const start = lines.findIndex((line) => line.startsWith(head))
  assert.notEqual(start, -1, `docs/API.md has no table ${head}`)
  const end = lines.findIndex((line, index) => index > start && !line.startsWith('|'))
  return lines.slice(start + 2, end).map((line) => line.slice(1, -1).split('|').map((cell) => cell.trim()))
}

const bare = (cell) => cell.replace(/^`|`$/g, '')

const take = {
  client: (tls) => clientOptions({ port: 1, tls: { ...identity('client'), ...tls } }).tls.native,
  server: (tls) => serverOptions({ port: 0, tls: { ...identity('server'), ...tls } }).tls.native
}

const options = rows('| tls option |').map(([name, end, type, value]) => ({ name: bare(name), end, type, value }))

for (const end of ['client', 'server']) {
  const documented = options.filter((option) => option.end === end || option.end === 'both')

  test(`the table of the options of tls names those that a ${end} takes`, () => {
    let message
    assert.throws(() => take[end]({ unknown: 1 }), (error) => {
      message = error.message
      return error.code === 'ERR_MUX_INVALID_ARG'
    })
    const [, names] = /must be one of (.+)\. Received/.exec(message)
    assert.deepEqual(documented.map(({ name }) => name).sort(), names.split(', ').sort())
    for (const { name } of documented) assert.match(declarations, new RegExp(`^  ${name}\\??: `, 'm'), name)
  })

  test(`the table of the options of tls has the defaults of a ${end}`, () => {
    for (const { name, value } of documented.filter(({ value }) => /^`(true|false|'|\[)/.test(value))) {
      // The default, given, changes nothing.
      assert.deepEqual(take[end]({ [name]: Function(`return ${bare(value)}`)() }), take[end]({}), name)
    }
  })

  test(`a ${end} takes no boolean and no text for an option of tls of another type`, () => {
    const more = end === 'server' ? { requestCert: true } : {} // which needs `ca`
    for (const { name, type } of documented) {
      const given = (value) => () => take[end]({ ...more, [name]: value })
      if (type !== 'boolean') assert.throws(given(true), { code: /^ERR_/ }, name)
      if (!/string/.test(type)) assert.throws(given('text'), { code: /^ERR_/ }, name)
      for (const [value] of type.matchAll(/(?<=`')[\w.]+(?='`)/g)) take[end]({ [name]: value })
    }
  })
}

test('the table of what has no counterpart is that of the code', () => {
  const named = rows('| option of `tls` |').flatMap(([cell]) => cell.split(', ').map(bare))
  const source = fs.readFileSync(path.join(root, 'lib', 'tls-options.js'), 'utf8')
  const [, list] = /const UNSUPPORTED = new Set\(\[([^\]]+)\]\)/.exec(source)
  assert.deepEqual(named.sort(), list.match(/(?<=')\w+(?=')/g).sort())
  for (const name of named) assert.throws(() => take.client({ [name]: 1 }), { code: 'ERR_MUX_TLS_OPTION' }, name)
})

test('the codes of failures of TLS are those of native code', () => {
  const documented = tlsCodes(text)
  assert.equal(new Set(documented).size, documented.length)
  // One is found before native code is asked.
  assert.deepEqual(documented.sort(), [...nativeCodes(), 'ERR_SSL_EE_KEY_TOO_SMALL'].sort())
})
