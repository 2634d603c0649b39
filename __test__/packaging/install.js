'use strict'

// A copy of the package to pack, and empty folders to install into: as on a machine that has Node, and neither Rust nor
// a network nor anything that npm remembers.

const { spawn, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

const root = path.join(__dirname, '..', '..')

// What is built, installed or recorded in the tree, and may not reach a tarball. The addon is copied: npm must leave it
// out.
const LEFT_OUT = new Set(['.git', 'node_modules', 'target'])

// A build of everything from nothing is the longest that any command here may take.
const TIMEOUT = 500_000

class Workplace {
  static async create () {
    const { npmCommand } = await import('../../scripts/npm.mjs')
    return new Workplace(npmCommand())
  }

  constructor (npm) {
    this.folder = fs.mkdtempSync(path.join(fs.realpathSync(os.tmpdir()), 'tcp-stream-muxer-'))
    // No PATH but Node and the shell that npm starts scripts with.
    this.bin = this.makeFolder('bin')
    fs.symlinkSync(process.execPath, path.join(this.bin, 'node'))
    fs.symlinkSync('/bin/sh', path.join(this.bin, 'sh'))
    this.npm = npm
  }

  makeFolder (name) {
    const folder = path.join(this.folder, name)
    fs.mkdirSync(folder, { recursive: true })
    return folder
  }

  copyOfTree (name) {
    const copy = path.join(this.folder, name)
    fs.cpSync(root, copy, {
      recursive: true,
      filter: (file) => !LEFT_OUT.has(path.relative(root, file).split(path.sep)[0])
    })
    return copy
  }

  get env () {
    // Not what the npm that runs this test has set for its own scripts, nor the user's configuration.
    const inherited = Object.entries(process.env).filter(([key]) => !/^(npm_|CARGO|RUST|NODE_)|^INIT_CWD$/i.test(key))
    return {
      ...Object.fromEntries(inherited),
      PATH: this.bin,
      HOME: this.makeFolder('home'),
      npm_config_cache: path.join(this.folder, 'npm-cache'),
      npm_config_offline: 'true',
      npm_config_audit: 'false',
      npm_config_fund: 'false',
      npm_config_update_notifier: 'false'
    }
  }

  // What a folder without Rust lacks: the tools of this machine, and what cargo has fetched. cargo builds where it
  // finds the dependencies built by the last run.
  get rustEnv () {
    const rust = Object.entries(process.env).filter(([key]) => /^(PATH|HOME|CARGO_HOME|RUSTUP_.*)$/.test(key))
    return {
      ...Object.fromEntries(rust),
      CARGO_NET_OFFLINE: 'true',
      CARGO_TARGET_DIR: path.join(root, 'target', 'from-package')
    }
  }

  run (command, args, cwd, env = {}) {
    const { status, signal, stdout, stderr, error } = spawnSync(command, args, {
      cwd, env: { ...this.env, ...env }, encoding: 'utf8', timeout: TIMEOUT, maxBuffer: Infinity
    })
    if (error !== undefined) throw error
    return { status, signal, stdout, stderr }
  }

  // The standard output of a command that must succeed.
  output (command, args, cwd, env) {
    const { status, signal, stdout, stderr } = this.run(command, args, cwd, env)
    if (status !== 0) {
      throw new Error(`${path.basename(command)} ${args.join(' ')}: exit code ${status ?? signal}\n${stdout}${stderr}`)
    }
    return stdout
  }

  runNpm (args, cwd, env) {
    const [command, ...rest] = this.npm
    return this.output(command, [...rest, ...args], cwd, env)
  }

  tryNpm (args, cwd) {
    const [command, ...rest] = this.npm
    return this.run(command, [...rest, ...args], cwd)
  }

  startNpm (args, cwd) {
    const [command, ...rest] = this.npm
    return spawn(command, [...rest, ...args], { cwd, env: this.env, stdio: 'ignore' })
  }

  // The file that one `npm pack` wrote, and the names of the files in it.
  pack (cwd, args = ['pack']) {
    const destination = this.makeFolder('tarballs')
    const [{ filename, files }] = JSON.parse(this.runNpm([...args, '--json', '--pack-destination', destination], cwd))
    return { tarball: path.join(destination, filename), names: files.map(({ path: name }) => name) }
  }

  remove () {
    fs.rmSync(this.folder, { recursive: true, force: true })
  }
}

module.exports = { Workplace, root }
