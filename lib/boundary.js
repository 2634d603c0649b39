'use strict'

// Names of what crosses the boundary to native code. They stand in boundary.json, of which build.rs makes
// Rust, and which docs/BOUNDARY.md shows.
//
// This file may not: have a number of its own, or load anything else.

const table = require('./boundary.json')

const named = (rows, value) =>
  Object.freeze(Object.fromEntries(rows.map((row, place) => [row.name, value(row, place)])))
const number = (row) => row.number
const place = (_, place) => place

// V8 makes a double of every number that stands in a column with one of more than 31 bits (WHOLE). A double costs each
// write() some 3 ns, so whatever is a small integer becomes one again.
const small = (value) => value === (value | 0) ? value | 0 : value

const layout = named([...table.sizes, ...table.words], (row) => small(row.value))

module.exports = {
  ...layout,
  NUMBER_MASK: (1 << layout.NUMBER_BITS) - 1,
  /** The numbers of the commands. */
  op: named(table.commands, number),
  /** The kinds of records. */
  kind: named(table.records, number),
  /** Places of the words behind the records that sum up a drain. */
  summary: named(table.summary, place),
  SUMMARY_WORDS: table.summary.length,
  /** The bits that say which wires are in use. */
  wires: named(table.wires, (_, place) => 1 << place),
  /** What the peer is. */
  peers: named(table.peers, place)
}
