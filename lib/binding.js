'use strict'

// The only file that loads the addon. It exports the native object, or throws one sentence that says what is missing.

const { existsSync } = require('node:fs')
const path = require('node:path')
const { platformTag, binaryName, packageName } = require('./platform.js')
// Only the packed package.json lists the platform packages.
const { version, optionalDependencies: published = {} } = require('../package.json')

const root = path.join(__dirname, '..')

function noBinary (message, cause) {
  const error = new Error(message, cause && { cause })
  error.code = 'ERR_MUX_NO_BINARY'
  return error
}

// A binary that was built in this folder takes precedence: whoever ran a build wants to use it.
function findBinary (tag) {
  const local = path.join(root, binaryName(tag))
  if (existsSync(local)) return local
  try {
    return require.resolve(packageName(tag))
  } catch {
    return undefined
  }
}

function load () {
  const tag = platformTag()
  const build = `run "npm run build" in ${root} (it needs Rust)`
  const file = findBinary(tag)
  if (file === undefined) {
    const install = packageName(tag) in published ? `install ${packageName(tag)}@${version} beside it, or ` : ''
    throw noBinary(`tcp-stream-muxer ${version} found no binary for ${tag}: ${install}${build}`)
  }
  let native
  try {
    native = require(file)
  } catch (cause) {
    throw noBinary(`tcp-stream-muxer ${version} could not load its binary for ${tag} ` +
      `(${String(cause.message).split('\n', 1)[0]}): ${build}`, cause)
  }
  // The commands and records that cross the boundary may change with any version.
  if (native.VERSION !== version) {
    throw noBinary(`tcp-stream-muxer ${version} found a binary of version ${native.VERSION}, ${file}: ` +
      `install ${packageName(tag)}@${version}, or ${build}`)
  }
  return native
}

module.exports = load()
