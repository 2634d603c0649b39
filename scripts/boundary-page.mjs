// node scripts/boundary-page.mjs: writes docs/BOUNDARY.md, which shows the tables of lib/boundary.json.

import fs from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { root } from './process.mjs'

const PAGE = path.join(root, 'docs', 'BOUNDARY.md')
const TABLE = path.join(root, 'lib', 'boundary.json')

// The words of the page for a second word and for a payload.
const STREAMS = {
  one: 'one',
  'one or all': 'one, or `WHOLE`',
  server: 'a server',
  carrier: 'a carrier',
  microseconds: 'microseconds'
}
const PAYLOADS = {
  bytes: 'bytes', json: 'JSON', code: 'code', 'code and text': 'code, text', decimal: 'decimal', text: 'text'
}

function lines (titles, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [line(titles), `|${titles.map(() => '---|').join('')}`, ...rows.map(line)].join('\n')
}

// The page's word for a value of the table. A value that a table leaves out is shown as nothing.
function shown (words, value) {
  if (value === undefined) return ''
  if (words[value] === undefined) throw new Error(`lib/boundary.json says "${value}": this script does not know it`)
  return words[value]
}

function command ({ number, name, stream, argument = '', payload, overtakes, acknowledges, doc }) {
  const order = overtakes ? 'overtakes' : acknowledges ? 'acknowledges' : ''
  return [number, `\`${name}\``, shown(STREAMS, stream), argument, shown(PAYLOADS, payload), order, doc]
}

function record ({ number, name, stream, payload, aux = '', doc }) {
  return [number, `\`${name}\``, shown(STREAMS, stream), shown(PAYLOADS, payload), aux, doc]
}

const named = (title, rows, value) =>
  lines([title, 'name', 'what it says'], rows.map((row, place) => [value(row, place), `\`${row.name}\``, row.doc]))

/** The page for a table. */
export function page (table) {
  return `# The boundary between JavaScript and Rust

\`node scripts/boundary-page.mjs\` makes this page of \`lib/boundary.json\`; a test compares the two. JavaScript reads the table
by \`lib/boundary.js\`. \`build.rs\` turns the table into constants, the type \`Command\` and its decoder, for
\`src/driver/boundary.rs\`. [ARCHITECTURE.md](ARCHITECTURE.md) says how commands and records travel.

## Layout

A *command* is three words, little-endian, and perhaps a payload, padded to a multiple of four bytes. The first word says which
command it is and for which connection (\`number << NUMBER_BITS | connection\`). The second word is a stream's handle, the third
an argument or the length of the payload. A code is 8 bytes, little-endian, or, in a record, its decimal digits.

A *record* is five words: which record it is and of which connection, a stream's handle, where the payload starts in the slab,
the payload's length, and \`aux\`. These records of a server have the server's number in place of a connection's:
${table.records.filter(({ of }) => of === 'server').map(({ name }) => `\`${name}\``).join(', ')}.

An empty cell below means that the word is ignored, that there is no payload, or that nothing is special about the order.

${named('value', [...table.sizes, ...table.words], ({ value }) => value)}

## Commands

Commands are executed in the order in which they were written. Two kinds are special. A command that *overtakes* goes ahead of
commands that wait: a command about reading must not wait for a peer that does not read. A command that *acknowledges* answers
an open of the peer's. If many such commands wait, the reading stops.

${lines(['number', 'command', 'stream', 'argument', 'payload', 'order', 'what it says'], table.commands.map(command))}

## Records

${lines(['number', 'record', 'stream', 'payload', 'aux', 'what it says'], table.records.map(record))}

## Behind the records of a drain

${named('place', table.summary, (_, place) => place)}

## Carriers

These bits stand above the length that \`Carrier.take()\` returns:

${named('bit', table.carried, (_, place) => 1 << place)}

## Wires

These are the bits of \`WIRES\`:

${named('bit', table.wires, (_, place) => 1 << place)}

## Peers

\`stats()\` says of the peer:

${named('number', table.peers, (_, place) => place)}
`
}

if (process.argv[1] && pathToFileURL(fs.realpathSync(process.argv[1])).href === import.meta.url) {
  fs.writeFileSync(PAGE, page(JSON.parse(fs.readFileSync(TABLE, 'utf8'))))
}
