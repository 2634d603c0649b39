'use strict'

// What all pages have in common: their lines have a length, their links lead somewhere, and the files that they name exist.

const test = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { readDocument, root } = require('../support/document.js')

// A run of the benchmarks writes docs/BENCHMARKS.md.
const docs = fs.readdirSync(path.join(root, 'docs')).filter((name) => name.endsWith('.md') && name !== 'BENCHMARKS.md')
const PAGES = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', ...docs.map((name) => `docs/${name}`)]

// As GitHub makes them of headings.
function anchors (file) {
  const used = new Map()
  return readDocument(file).text.match(/^#+ .+$/gm).map((heading) => {
    const slug = heading.replace(/^#+ /, '').toLowerCase().replace(/[^\w\- ]/g, '').replace(/ /g, '-')
    const before = used.get(slug) ?? 0
    used.set(slug, before + 1)
    return before === 0 ? slug : `${slug}-${before}`
  })
}

// Without its blocks of code.
const prose = (file) => readDocument(file).text.replace(/^```[^]*?^```$/gm, (code) => code.replace(/[^\n]/g, ''))

for (const page of PAGES) {
  test(`lines of ${page} are at most 130 characters long, tables and code aside`, () => {
    prose(page).split('\n').forEach((line, index) => {
      assert.ok(line.length <= 130 || line.startsWith('|'), `${page}:${index + 1} has ${line.length} characters`)
    })
  })

  test(`links of ${page} lead to something`, () => {
    for (const [, target] of prose(page).matchAll(/\]\(([^)]+)\)/g)) {
      if (/^\w+:/.test(target)) continue
      const [file, anchor] = target.split('#')
      const to = file === '' ? page : path.join(path.dirname(page), file)
      assert.ok(fs.existsSync(path.join(root, to)), `${page} links to ${target}`)
      if (anchor !== undefined) assert.ok(anchors(to).includes(anchor), `${page} links to ${target}`)
    }
  })
}

// Shorter paths stand for files beside the last full one, so only those from the root are looked at.
const NAMED = /`((?:src|lib|benchmark|benches|fuzz|interop|scripts|tests|__test__)\/[\w./-]*)`/g

for (const page of ['CONTRIBUTING.md', 'docs/ARCHITECTURE.md']) {
  test(`files that ${page} names exist`, () => {
    for (const [, file] of prose(page).matchAll(NAMED)) {
      assert.ok(fs.existsSync(path.join(root, file)), `${page} names ${file}`)
    }
  })
}
