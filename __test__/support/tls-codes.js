'use strict'

// The codes of failures of TLS: those that docs/API.md has in its tables, and those that native code can tell.

const fs = require('node:fs')
const path = require('node:path')

const root = path.join(__dirname, '..', '..')

/** The codes in the first column of the tables of "### TLS". */
function tlsCodes (text) {
  const start = text.indexOf('\n### TLS\n')
  const section = text.slice(start, text.indexOf('\n### ', start + 1))
  return [...section.matchAll(/^\| (`.+`) \|/gm)].flatMap(([, cell]) => cell.split(' | ')[0].match(/(?<=`)[A-Z]\w+(?=`)/g) ?? [])
}

function * sources (folder) {
  for (const entry of fs.readdirSync(path.join(root, folder), { withFileTypes: true })) {
    if (entry.isDirectory()) yield * sources(`${folder}/${entry.name}`)
    else if (entry.name !== 'tests.rs') yield fs.readFileSync(path.join(root, folder, entry.name), 'utf8').split('\n#[cfg(test)]')[0]
  }
}

/** The codes that stand in the sources of native code, outside of their tests. */
function nativeCodes () {
  const text = [...sources('src/driver/tls'), ...sources('src/driver/link')].join('\n')
  return new Set(text.match(/(?<=")(?:(?:ERR|CERT|UNABLE)_[A-Z0-9_]+|[A-Z_]+_CERT(?:_[A-Z_]+)?|INVALID_PURPOSE|ECONNRESET)(?=")/g))
}

module.exports = { nativeCodes, tlsCodes }
