'use strict'

// The name of the platform that this process runs on, as the binaries are named. This file may not load a binary: the
// build scripts require it, too.

// The report is the one place where Node says which C library it runs on. Its section on the network is left out,
// because that section looks the peer of every open socket up in the DNS.
function isGlibc () {
  const { report } = process
  if (report === undefined) return true
  const { excludeNetwork } = report
  report.excludeNetwork = true
  try {
    return report.getReport().header.glibcVersionRuntime !== undefined
  } finally {
    report.excludeNetwork = excludeNetwork
  }
}

// Returns a tag such as 'linux-x64-gnu', 'linux-arm64-musl', 'darwin-arm64' or 'win32-x64-msvc'.
function platformTag () {
  const tag = `${process.platform}-${process.arch}`
  switch (process.platform) {
    case 'linux': return `${tag}-${isGlibc() ? 'gnu' : 'musl'}`
    case 'win32': return `${tag}-msvc`
    default: return tag
  }
}

const binaryName = (tag) => `tcp-stream-muxer.${tag}.node`
const packageName = (tag) => `@tcp-stream-muxer/${tag}`

module.exports = { platformTag, binaryName, packageName }
