'use strict'

// What users get: the two tarballs, installed where there is no Rust, no network and no npm cache.

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { before, after, describe, it } = require('node:test')
const { platformTag, binaryName, packageName } = require('../../lib/platform.js')
const manifest = require('../../package.json')
const { Workplace, root } = require('./install.js')

const tag = platformTag()
const { version } = manifest

const readJson = (...parts) => JSON.parse(fs.readFileSync(path.join(...parts), 'utf8'))

describe('the packed packages', () => {
  let place
  let tree
  let main
  let platform

  before(async () => {
    place = await Workplace.create()
    tree = place.copyOfTree('tree')
    main = place.pack(tree)
    // This one is made of the addon that was built in the tree, and needs its target folder.
    place.runNpm(['run', 'pack:platform', '--', '--pack-destination', place.makeFolder('tarballs')], root)
    platform = path.join(place.makeFolder('tarballs'), `tcp-stream-muxer-${tag}-${version}.tgz`)
  })

  after(() => place.remove())

  function install (name, ...tarballs) {
    const folder = place.makeFolder(name)
    fs.writeFileSync(path.join(folder, 'package.json'), '{ "private": true }\n')
    place.runNpm(['install', ...tarballs], folder)
    return folder
  }

  function runProgram (folder, name) {
    for (const file of [name, 'round-trip-body.cjs']) fs.copyFileSync(path.join(__dirname, file), path.join(folder, file))
    return place.output(process.execPath, [name], folder)
  }

  it('run where there is no Rust', () => {
    for (const command of ['cargo', 'rustc', 'rustup']) {
      assert.equal(spawnSync(command, ['--version'], { env: place.env }).error?.code, 'ENOENT', command)
    }
  })

  it('leave package.json as it was', () => {
    assert.equal(fs.readFileSync(path.join(tree, 'package.json'), 'utf8'),
      fs.readFileSync(path.join(root, 'package.json'), 'utf8'))
    assert.equal(manifest.optionalDependencies, undefined)
  })

  it('hold what a user needs, and no binary in the main one', () => {
    const { names } = main
    const needed = ['index.js', 'index.d.ts', 'lib/binding.js', 'lib/boundary.json', 'README.md', 'LICENSE', 'CHANGELOG.md', 'docs/API.md']
    for (const name of needed) {
      assert.ok(names.includes(name), `${name} is missing`)
    }
    assert.deepEqual(names.filter((name) => name.endsWith('.node')), [])
    assert.deepEqual(names.filter((name) => /^(__test__|examples|benchmark|target|\.)/.test(name)), [])
  })

  it('install together, offline, and run no script', () => {
    const folder = install('both', main.tarball, platform)
    const modules = path.join(folder, 'node_modules')
    const installed = readJson(modules, 'tcp-stream-muxer', 'package.json')
    assert.deepEqual(installed.optionalDependencies, { '@tcp-stream-muxer/linux-x64-gnu': version })
    assert.equal(installed.dependencies, undefined)
    for (const hook of ['preinstall', 'install', 'postinstall', 'prepare']) {
      assert.equal(installed.scripts[hook], undefined, hook)
    }
    assert.equal(readJson(modules, packageName(tag), 'package.json').version, version)
    assert.deepEqual(fs.readdirSync(path.join(modules, packageName(tag))).sort(),
      ['LICENSE', 'README.md', 'THIRD-PARTY-NOTICES.txt', 'package.json', binaryName(tag)].sort())
  })

  it('carry a message from end to end after require()', () => {
    const printed = runProgram(path.join(place.folder, 'both'), 'round-trip.cjs')
    assert.deepEqual(JSON.parse(printed), { meta: { type: 'greeting' }, data: 'hello' })
  })

  it('carry a message from end to end after a named import', () => {
    const printed = runProgram(path.join(place.folder, 'both'), 'round-trip.mjs')
    assert.deepEqual(JSON.parse(printed), { meta: { type: 'greeting' }, data: 'hello' })
  })

  it('give types to CommonJS and to ES modules', () => {
    const folder = path.join(place.folder, 'both')
    const programs = ['consumer.cts', 'consumer.mts']
    for (const name of programs) fs.copyFileSync(path.join(__dirname, name), path.join(folder, name))
    place.output(process.execPath, [
      path.join(root, 'node_modules/typescript/bin/tsc'), '--noEmit', '--strict', '--module', 'nodenext',
      '--target', 'es2022', '--typeRoots', path.join(root, 'node_modules/@types'), '--types', 'node', ...programs
    ], folder)
  })

  describe('where there is no binary', () => {
    let folder

    before(() => { folder = install('main-only', main.tarball) })

    const load = (code) => place.run(process.execPath, code, folder)

    it('say so in one sentence, with a code', () => {
      const { stdout } = load(['-e', `
        try {
          require('tcp-stream-muxer')
        } catch ({ code, message }) {
          console.log(JSON.stringify([code, message]))
        }`])
      const [code, message] = JSON.parse(stdout)
      assert.equal(code, 'ERR_MUX_NO_BINARY')
      assert.equal(message, `tcp-stream-muxer ${version} found no binary for ${tag}: ` +
        `install ${packageName(tag)}@${version} beside it, ` +
        `or run "npm run build" in ${path.join(folder, 'node_modules', 'tcp-stream-muxer')} (it needs Rust)`)
    })

    it('say so to an import too', () => {
      const { status, stderr } = load(['--input-type=module', '-e', "import { MuxServer } from 'tcp-stream-muxer'"])
      assert.equal(status, 1)
      assert.match(stderr, /ERR_MUX_NO_BINARY/)
    })

    it('refuse a binary of another version', () => {
      const other = path.join(folder, 'node_modules', packageName(tag))
      fs.mkdirSync(other, { recursive: true })
      fs.writeFileSync(path.join(other, 'index.js'), "exports.VERSION = '0.0.1'\n")
      const { stderr } = load(['-e', "require('tcp-stream-muxer')"])
      assert.match(stderr, new RegExp(`tcp-stream-muxer ${version} found a binary of version 0\\.0\\.1`))
    })

    it('name a binary that cannot be loaded', () => {
      const package_ = path.join(folder, 'node_modules', 'tcp-stream-muxer')
      fs.writeFileSync(path.join(package_, binaryName(tag)), 'not a library')
      const { stderr } = load(['-e', "require('tcp-stream-muxer')"])
      assert.match(stderr, new RegExp(`tcp-stream-muxer ${version} could not load its binary for ${tag}`))
      assert.match(stderr, /ERR_MUX_NO_BINARY/)
    })

    it('say that a build needs Rust', () => {
      const { status, stderr } = place.tryNpm(['run', 'build'], path.join(folder, 'node_modules', 'tcp-stream-muxer'))
      assert.equal(status, 1)
      assert.match(stderr, /cannot build the addon \(.+\): Rust was not found/)
    })

    it('can be built from the sources in it, with Rust', () => {
      place.runNpm(['run', 'build'], path.join(folder, 'node_modules', 'tcp-stream-muxer'), place.rustEnv)
      const printed = runProgram(folder, 'round-trip.cjs')
      assert.deepEqual(JSON.parse(printed), { meta: { type: 'greeting' }, data: 'hello' })
    })
  })

  it('restore package.json when npm is killed in the middle', async () => {
    const file = path.join(tree, 'package.json')
    const original = fs.readFileSync(file, 'utf8')
    const npm = place.startNpm(['pack', '--pack-destination', place.makeFolder('killed')], tree)
    const ended = new Promise((resolve) => npm.on('exit', (code, signal) => resolve(signal)))
    let isOver = false
    ended.then(() => { isOver = true })
    while (fs.readFileSync(file, 'utf8') === original && !isOver) await new Promise(setImmediate)
    npm.kill('SIGKILL')
    assert.equal(await ended, 'SIGKILL', 'npm pack was over before it could be killed')
    assert.notEqual(fs.readFileSync(file, 'utf8'), original)
    const deadline = Date.now() + 30_000
    while (fs.readFileSync(file, 'utf8') !== original && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    assert.equal(fs.readFileSync(file, 'utf8'), original)
  })

  it('cannot be published from the folder', () => {
    const { status, stderr } = place.tryNpm(['publish', '--dry-run'], tree)
    assert.notEqual(status, 0)
    assert.match(stderr, /Publish the tarballs, not the folder/)
  })
})
