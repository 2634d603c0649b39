'use strict'

// Names the platform this process runs on as the binaries are named. May not load one: the build scripts ask here too.

// The report is the one place where Node says which C library it runs on. Its section on the network would look every
// open socket's peer up in the DNS.
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

// 'linux-x64-gnu', 'linux-arm64-musl', 'darwin-arm64', 'win32-x64-msvc'
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
