'use strict'

// docs/BOUNDARY.md shows the table that the code reads.

const test = require('node:test')
const assert = require('node:assert/strict')
const table = require('../../lib/boundary.json')
const { readDocument } = require('../support/document.js')

test('docs/BOUNDARY.md is what node scripts/boundary-page.mjs makes of lib/boundary.json', async () => {
  const { page } = await import('../../scripts/boundary-page.mjs')
  assert.equal(readDocument('docs/BOUNDARY.md').text, page(table))
})
