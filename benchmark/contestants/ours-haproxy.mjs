// This package in the clear behind HAProxy, which ends TLS in front of it: what a server without TLS of its own is put
// behind. The client is ours with TLS, so that only the server's end differs from ours-tls.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { listen as listenPlain } from './ours.mjs'
import { CIPHER, pathOf } from './shared/certificate.mjs'

export { connect, features } from './ours-tls.mjs'

export const title = 'tcp-stream-muxer behind HAProxy, which ends TLS'

export const packageName = null

const configuration = ({ host, port, to, pem }) => `
global
  maxconn 4000
defaults
  mode tcp
  timeout connect 5s
  timeout client 1m
  timeout server 1m
listen mux
  bind ${host}:${port} ssl crt ${pem} alpn tcp-stream-muxer/1 ssl-min-ver TLSv1.3 ciphersuites ${CIPHER}
  server one ${host}:${to}
`

async function freePort (host) {
  const server = net.createServer().listen(0, host)
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

async function reach (host, port) {
  // Three seconds.
  for (let tries = 0; tries < 150; tries++) {
    const socket = net.connect({ host, port })
    try {
      await once(socket, 'connect')
      return
    } catch {
      await sleep(20)
    } finally {
      socket.destroy()
    }
  }
  throw new Error('HAProxy does not listen')
}

export async function listen ({ host, options: { resumes, ...options } = {} }, onConnection) {
  const plain = await listenPlain({ host, options }, onConnection)
  const folder = mkdtempSync(path.join(os.tmpdir(), 'mux-haproxy-'))
  const pem = path.join(folder, 'server.pem')
  const file = path.join(folder, 'haproxy.cfg')
  const port = await freePort(host)
  writeFileSync(pem, readFileSync(pathOf('server.pem'), 'utf8') + readFileSync(pathOf('server-key.pem'), 'utf8'))
  writeFileSync(file, configuration({ host, port, to: plain.port, pem }))
  // The process of a run is killed when it is done, and HAProxy ends with it: the pipe is closed then.
  const script = 'haproxy -db -f "$1" & cat > /dev/null; kill -9 $!; rm -r "$2"'
  const child = spawn('sh', ['-c', script, 'sh', file, folder], { stdio: ['pipe', 'ignore', 'ignore'] })
  child.unref()
  await reach(host, port)
  return {
    port,
    close () {
      child.stdin.end()
      plain.close()
    }
  }
}
