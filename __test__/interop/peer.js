'use strict'

// The endpoint of interop/ as a child process: the Rust crate `qmux`, which shares no line with ours. What it saw comes
// as events, one JSON object each; interop/src/commands.rs says what it can be asked for.

const { spawn, spawnSync } = require('node:child_process')
const { createInterface } = require('node:readline')
const { isDeepStrictEqual } = require('node:util')
const build = require('../../interop/build.js')
const { MuxClient, startServer, watchClient } = require('../support/mux.js')
const { cleanup } = require('../support/cleanup.js')
const { within, nextEvent } = require('../support/events.js')

// A second where a step of `npm test` did it before, or minutes on a busy machine: before any test, and its deadlines, begin.
// Cargo tells its progress on standard error.
function ensureProgram () {
  const { error, status } = spawnSync(build.command, build.args, {
    cwd: build.folder,
    stdio: ['ignore', 'ignore', 'inherit']
  })
  if (error || status !== 0) throw new Error(`interop/ could not be built: ${error?.message ?? `cargo: ${status}`}`)
}

ensureProgram()

const matches = (event, fields) => Object.entries(fields).every(([key, value]) => isDeepStrictEqual(event[key], value))

class Peer {
  #child
  #events = []
  #waiting = []
  #failure

  constructor (t, args, options) {
    const pairs = Object.entries(options).map(([key, value]) => `${key}=${value}`)
    this.#child = spawn(build.program, [...args, ...pairs], { stdio: ['pipe', 'pipe', 'inherit'] })
    const gone = new Promise((resolve) => this.#child.once('close', resolve))
    this.#child.once('error', (error) => this.#fail(error))
    // It leaves with its connection, maybe before the last command is written.
    this.#child.stdin.on('error', () => {})
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#add(JSON.parse(line)))
    gone.then((code) => this.#fail(new Error(`the peer left with ${code}; untaken: ${JSON.stringify(this.#events)}`)))
    cleanup(t, () => {
      // Not SIGTERM: a test may have stopped it, and a stopped process leaves that for later.
      this.#child.kill('SIGKILL')
      return within(gone, 'the peer to leave')
    })
  }

  #add (event) {
    this.#events.push(event)
    if (event.event === 'failed') this.#fail(new Error(`the peer failed: ${JSON.stringify(event)}`))
    this.#look()
  }

  #fail (error) {
    this.#failure ??= error
    this.#look()
  }

  #look () {
    this.#waiting = this.#waiting.filter(({ fields, resolve, reject }) => {
      const index = this.#events.findIndex((event) => matches(event, fields))
      if (index !== -1) resolve(this.#events.splice(index, 1)[0])
      else if (this.#failure !== undefined) reject(this.#failure)
      else return true
      return false
    })
  }

  command (line) {
    this.#child.stdin.write(`${line}\n`)
    return this
  }

  // Takes the first event of that name, and with those fields, that no call has taken yet.
  event (name, fields = {}, { ms } = {}) {
    return within(new Promise((resolve, reject) => {
      this.#waiting.push({ fields: { event: name, ...fields }, resolve, reject })
      this.#look()
    }), `the peer's '${name}' ${JSON.stringify(fields)}`, ms)
  }

  // Gives a command and takes the event that answers it.
  ask (line, { ms } = {}) {
    return this.command(line).event(line.split(' ', 1)[0], {}, { ms })
  }

  // SIGKILL: no frame of its own any more, only what the kernel does. SIGSTOP: nothing at all.
  signal (name) {
    this.#child.kill(name)
  }
}

// Our end on every arrangement that may speak QMux with a stranger.
const ARRANGEMENTS = {
  "a server on 'auto'": { role: 'server', protocol: 'auto' },
  "a server on 'qmux'": { role: 'server', protocol: 'qmux' },
  "a client on 'qmux'": { role: 'client', protocol: 'qmux' }
}

// What the connection's 'error' told, if anything did, once it has closed.
function watch (connection) {
  let failure
  connection.on('error', (error) => { failure = error })
  const closed = new Promise((resolve) => connection.once('close', () => resolve(failure)))
  return () => within(closed, 'our connection to close')
}

async function serve (t, ours, theirs) {
  const server = await startServer(t, ours)
  const accepted = nextEvent(server, 'connection')
  const peer = new Peer(t, ['connect', `127.0.0.1:${server.address().port}`], theirs)
  const [con] = await accepted
  const closed = watch(con)
  return { peer, con, closed, established: await peer.event('established') }
}

async function call (t, ours, theirs) {
  const peer = new Peer(t, ['listen'], theirs)
  const { port } = await peer.event('listening')
  const client = await watchClient(t, new MuxClient({ port, host: '127.0.0.1', ...ours }))
  const closed = watch(client.connection)
  return { peer, con: client.connection, closed, established: await peer.event('established') }
}

// The peer, our Connection, what the peer knew of us at first, and closed(): the error our connection closed with.
function connectPeer (t, { role, protocol }, { ours = {}, theirs = {} } = {}) {
  const connect = role === 'server' ? serve : call
  return connect(t, { protocol, ...ours }, theirs)
}

// Every stream of the peer's goes back as it comes.
function echo (con) {
  con.on('stream', (stream) => stream.pipe(stream))
}

// One test for each arrangement.
function everywhere (test, name, run) {
  for (const [which, arrangement] of Object.entries(ARRANGEMENTS)) test(`${which}: ${name}`, (t) => run(t, arrangement))
}

module.exports = { Peer, connectPeer, everywhere, echo }
