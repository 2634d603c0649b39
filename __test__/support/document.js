'use strict'

// The examples of the documents, run as a reader would run them: each in a process of its own. A block of code that has
// a name (```js server.mjs) is an example; a block of text with the same name is what it prints. A block of bytes
// (```hex some name) is what stands on the wire; behind a # is a remark.

const { spawn } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { cleanup } = require('./cleanup.js')
const { within } = require('./events.js')

const root = path.join(__dirname, '..', '..')
const PRELOAD = path.join(__dirname, '..', 'fixtures', 'tell-port.js')

// The port that the documents use. It stands for a free one on the loopback interface.
const PORT = /\b12345\b/g

// The certificates and keys that the documents read stand for those of the tests.
const PEM = /'([a-z-]+\.pem)'/g

function readDocument (file) {
  const text = fs.readFileSync(path.join(root, file), 'utf8')
  const programs = new Map()
  const outputs = new Map()
  for (const [, language, name, block] of text.matchAll(/^```(js|text) (\S+)\n([^]*?)^```$/gm)) {
    const blocks = language === 'js' ? programs : outputs
    if (blocks.has(name)) throw new Error(`${file} has two blocks of ${language} called ${name}`)
    blocks.set(name, block)
  }
  return { text, programs, outputs }
}

// The blocks of bytes by their names, the rows of the tables, and which blocks nobody asked for.
function readWireDocument (file) {
  const text = fs.readFileSync(path.join(root, file), 'utf8')
  const blocks = new Map()
  for (const [, name, block] of text.matchAll(/^```hex (.+)\n([^]*?)^```$/gm)) {
    if (blocks.has(name)) throw new Error(`${file} has two blocks of bytes called ${name}`)
    const digits = block.replace(/#.*$/gm, '').replace(/\s+/g, '')
    if (!/^(?:[0-9a-f]{2})+$/.test(digits)) throw new Error(`${file}: ${name} is no hex`)
    blocks.set(name, Buffer.from(digits, 'hex'))
  }
  const unused = new Set(blocks.keys())
  return {
    text,
    unused,
    bytes (name) {
      if (!blocks.has(name)) throw new Error(`${file} has no block of bytes called ${name}`)
      unused.delete(name)
      return blocks.get(name)
    },
    // The cells of each row below the head that starts with these titles.
    table (...titles) {
      const lines = text.split('\n')
      const head = lines.findIndex((line) => line.startsWith(`| ${titles.join(' | ')} |`))
      if (head === -1) throw new Error(`${file} has no table of ${titles}`)
      const end = lines.findIndex((line, index) => index > head && !line.startsWith('|'))
      return lines.slice(head + 2, end).map((line) => line.slice(1, -1).split('|').map((cell) => cell.trim()))
    }
  }
}

class Program {
  #changed = () => {}

  constructor (t, name, source, port) {
    // From the package's folder its own name leads to it.
    this.process = spawn(process.execPath, [
      '--require', PRELOAD, `--input-type=${name.endsWith('.mjs') ? 'module' : 'commonjs'}`,
      '--eval', source.replace(PORT, `${port}, '127.0.0.1'`).replace(PEM, "'__test__/fixtures/tls/$1'")
    ], { cwd: root, stdio: ['ignore', 'pipe', 'pipe', 'ipc'], env: { ...process.env, NODE_TEST_CONTEXT: undefined } })
    this.name = name
    this.stdout = ''
    this.stderr = ''
    this.code = undefined
    this.process.stdout.setEncoding('utf8').on('data', (text) => {
      this.stdout += text
      this.#changed()
    })
    this.process.stderr.setEncoding('utf8').on('data', (text) => { this.stderr += text })
    this.closed = new Promise((resolve) => this.process.on('close', (code) => {
      this.code = code
      resolve()
      this.#changed()
    }))
    // The port of the first server it starts.
    this.listening = new Promise((resolve) => this.process.once('message', resolve))
    cleanup(t, () => {
      this.process.kill('SIGKILL')
      return this.closed
    })
  }

  port () {
    return within(Promise.race([this.listening, this.closed.then(() => {
      throw new Error(`${this.name} has ended before it listened\n${this.stderr}`)
    })]), `the port of ${this.name}`)
  }

  // What it has printed, once that is as long as `expected` or the program has ended.
  async printed (expected) {
    await within(new Promise((resolve) => {
      this.#changed = () => {
        if (this.stdout.length >= expected.length || this.code !== undefined) resolve()
      }
      this.#changed()
    }), `${this.name} to print`)
    return this.stdout
  }

  async exit () {
    await within(this.closed, `the end of ${this.name}`)
    return this.code
  }
}

function start (t, name, source, port = 0) {
  return new Program(t, name, source, port)
}

module.exports = { readDocument, readWireDocument, start, root }
