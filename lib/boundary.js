'use strict'

// The names of commands, records and words that cross the boundary to native code. The table of them is boundary.json.
// build.rs turns the same table into Rust, and docs/BOUNDARY.md shows it.
//
// This file may not: have a number of its own, or load another file.

const table = require('./boundary.json')

const named = (rows, value) =>
  Object.freeze(Object.fromEntries(rows.map((row, place) => [row.name, value(row, place)])))
const number = (row) => row.number
const place = (_, place) => place

// If one number of a column needs more than 31 bits (WHOLE does), V8 stores every number of that column as a double. A
// double costs each write() some 3 ns, so every small integer is converted back.
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
  /** The bits that say what is to be done with a carrier. */
  carried: named(table.carried, (_, place) => 1 << place),
  /** The bits that say which wires are in use. */
  wires: named(table.wires, (_, place) => 1 << place),
  /** The kinds of peers. */
  peers: named(table.peers, place)
}
