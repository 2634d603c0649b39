'use strict'

// How this folder is built: by a step of `npm test` and, where that did not run, by the first test that needs it.
// `--target-dir` because a CARGO_TARGET_DIR of the caller's would put the program where nobody looks for it.

const path = require('node:path')

module.exports = {
  folder: __dirname,
  command: 'cargo',
  args: ['build', '--locked', '--target-dir', 'target'],
  program: path.join(__dirname, 'target', 'debug', 'qmux-peer')
}
