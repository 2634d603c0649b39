'use strict'

// Programs of __test__/fixtures in processes of their own: for what ends a process, or keeps it alive.

const { spawn } = require('node:child_process')
const path = require('node:path')
const { cleanup } = require('./cleanup.js')
const { within } = require('./events.js')

class Child {
  #lines = []
  #waiting = []
  #partial = ''

  constructor (child, name) {
    this.process = child
    this.name = name
    this.stdout = ''
    this.stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      this.stdout += text
      const lines = (this.#partial + text).split('\n')
      this.#partial = lines.pop()
      for (const line of lines) {
        if (this.#waiting.length > 0) this.#waiting.shift().resolve(line)
        else this.#lines.push(line)
      }
    })
    child.stderr.setEncoding('utf8').on('data', (text) => { this.stderr += text })
    this.over = new Promise((resolve) => {
      child.on('close', (code, signal) => {
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr })
        for (const { reject } of this.#waiting) {
          reject(new Error(`${name} ended (code ${code}, signal ${signal}) before its next line\n${this.stderr}`))
        }
      })
    })
    this.over.then(() => { this.isOver = true })
    this.isOver = false
  }

  // The next line the program prints.
  line () {
    if (this.#lines.length > 0) return Promise.resolve(this.#lines.shift())
    if (this.isOver) return Promise.reject(new Error(`${this.name} has ended\n${this.stderr}`))
    return within(new Promise((resolve, reject) => this.#waiting.push({ resolve, reject })), `a line of ${this.name}`)
  }

  // The next line, which is JSON.
  async report () {
    return JSON.parse(await this.line())
  }

  tell (line) {
    this.process.stdin.write(line + '\n')
  }

  async exit (ms) {
    try {
      return await within(this.over, `the end of ${this.name}`, ms)
    } catch (error) {
      error.message += `\nstdout: ${this.stdout}\nstderr: ${this.stderr}`
      throw error
    }
  }
}

// Runs __test__/fixtures/<name> with `parameters` as strings behind it.
function run (t, name, parameters = [], { execArgv = [], env = {} } = {}) {
  const file = path.join(__dirname, '..', 'fixtures', name)
  const child = spawn(process.execPath, [...execArgv, file, ...parameters.map(String)], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, NODE_TEST_CONTEXT: undefined, ...env }
  })
  child.stdin.on('error', () => {}) // a child that is gone reads no more
  const running = new Child(child, name)
  cleanup(t, () => {
    child.kill('SIGKILL')
    return running.over
  })
  return running
}

module.exports = { run }
