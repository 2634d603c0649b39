// node scripts/third-party.mjs [--check]: writes THIRD-PARTY-NOTICES.txt, the licences of what is linked into the binary.
//
// `npm run lint` compares the file with what cargo says. npm run pack:platform packs the file beside the binary.

import fs from 'node:fs'
import path from 'node:path'
import { Failure, main, root, run } from './process.mjs'

const NOTICES = path.join(root, 'THIRD-PARTY-NOTICES.txt')

// The platform of the binary that is released. Crates of other platforms are not linked into it.
const TARGET = 'x86_64-unknown-linux-gnu'

// Where a crate says what its own licence file leaves out: the licences of sources that it brings along.
const MORE = {
  'aws-lc-sys': ['aws-lc/third_party/fiat/LICENSE', 'aws-lc/third_party/jitterentropy/jitterentropy-library/jitterentropy.h']
}

const MIT = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`

async function cargo (...args) {
  const { code, stdout } = await run('cargo', [...args, '--locked', '--offline'], { capture: true })
  if (code !== 0) throw new Failure(`cargo ${args[0]} failed: run "cargo fetch --locked"`)
  return stdout
}

// The crates that are linked in, in the order of their names. Macros run in the compiler, and leave nothing of their own.
async function linked () {
  const tree = await cargo('tree', '--target', TARGET, '--edges', 'normal,no-proc-macro', '--prefix', 'none', '--format', '{p}')
  const names = new Set(tree.split('\n').map((line) => line.split(' ').slice(0, 2).join(' ')))
  const { packages } = JSON.parse(await cargo('metadata', '--format-version', '1'))
  return packages.filter(({ name, version, source }) => source !== null && names.has(`${name} v${version}`))
    .sort((a, b) => a.name < b.name ? -1 : 1)
}

// Of several licences to choose from, this package chooses MIT.
function texts ({ name, authors, license, manifest_path: manifest }) {
  const folder = path.dirname(manifest)
  const files = fs.readdirSync(folder)
  const chosen = files.includes('LICENSE-MIT') ? ['LICENSE-MIT'] : files.filter((file) => /^LICENSE(\.\w+)?$/.test(file))
  const found = [...chosen, ...MORE[name] ?? []].map((file) => {
    const text = fs.readFileSync(path.join(folder, file), 'utf8')
    return file.endsWith('.h') ? /^\/\*[^]*?\*\//.exec(text)[0] : text
  })
  if (found.length > 0) return found
  if (license !== 'MIT') throw new Failure(`the crate ${name} has no licence file, and is not under MIT alone`)
  return [`Copyright (c) ${authors.map((author) => author.replace(/ <.*/, '')).join(', ')}\n\n${MIT}`]
}

async function notices () {
  const crates = await linked()
  const byText = new Map()
  for (const each of crates) {
    for (const text of texts(each)) {
      const clean = text.replace(/[ \t\r]+$/gm, '').replace(/^\n+|\n+$/g, '')
      byText.set(clean, [...byText.get(clean) ?? [], `${each.name} ${each.version}`])
    }
  }
  const width = Math.max(...crates.map(({ name, version }) => name.length + version.length)) + 3
  const rows = crates.map(({ name, version, license }) => `${`${name} ${version}`.padEnd(width)}${license}`)
  const rule = '='.repeat(100)
  const parts = [...byText].map(([text, names]) => `${rule}\n${names.join(', ')}\n${rule}\n\n${text}\n`)
  return `The binary of tcp-stream-muxer is under the MIT licence, see LICENSE. These crates are linked into the binary for
${TARGET}, each under the licence beside it. Of several licences to choose from, MIT is chosen. The standard
library of Rust, which is under "MIT OR Apache-2.0", is linked in as well.

node scripts/third-party.mjs makes this file of Cargo.lock.

${rows.join('\n')}

${parts.join('\n')}`
}

main(async (args) => {
  const text = await notices()
  if (!args.includes('--check')) fs.writeFileSync(NOTICES, text)
  else if (!fs.existsSync(NOTICES) || fs.readFileSync(NOTICES, 'utf8') !== text) {
    throw new Failure('THIRD-PARTY-NOTICES.txt is not what cargo says: run "node scripts/third-party.mjs"')
  }
  return 0
})
