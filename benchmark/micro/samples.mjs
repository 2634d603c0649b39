// The samples of perf, as stacks with readable names: folded for a flame graph, summed up per thread. This file knows
// the output of `perf script`, and nothing of how it was made.

const JAVASCRIPT = /^JS:([~^*])?(.*)$/
const COLLECTOR = /Scaveng|MarkCompact|CollectGarbage|Sweeper|ConcurrentMarking|ArrayBufferSweeper/
const COMPILER = /v8::internal::(compiler|maglev|interpreter|baseline)::|Compiler::Compile|OptimizedCompilation/

const OTHERS = 'other threads of Node'
const TOP = 25
const ENTRIES = 8

/**
 * @param text of `perf script -F comm,tid,ip,sym,dso`
 * @param pid the process, whose main thread runs the JavaScript
 * @param folders folders that are left out of the names of JavaScript functions
 * @returns {{ thread: string, frames: { name: string, kind: string }[] }[]} innermost frame first
 */
export function parse (text, pid, folders) {
  const known = new Map()
  const samples = []
  for (const block of text.split('\n\n')) {
    const [head, ...lines] = block.split('\n').filter((line) => line.trim() !== '')
    if (lines.length === 0) continue
    const [, comm, tid] = /^\s*(.*?)\s+(\d+)\s*$/.exec(head)
    const frames = lines.map((line) => {
      const [, symbol, library] = /^\s*[0-9a-f]+ (.*) \((.*)\)$/.exec(line)
      const key = `${symbol}\0${library}`
      let frame = known.get(key)
      if (frame === undefined) known.set(key, frame = describe(symbol, library, folders))
      return frame
    })
    samples.push({ thread: threadName(comm, Number(tid) === pid), frames })
  }
  return samples
}

/** The name of a thread in the output, for the system's name. */
export function threadName (comm, isMain) {
  if (isMain) return 'JS thread'
  return comm === 'mux-io' ? 'mux-io thread' : OTHERS
}

function describe (symbol, library, folders) {
  if (library.startsWith('[')) return { name: symbol, kind: 'kernel' }
  const script = JAVASCRIPT.exec(symbol)
  if (script !== null) {
    // `*` optimized, `^` compiled without optimization, `~` interpreted
    const [, mark = '', name] = script
    const place = folders.reduce((text, folder) => text.replaceAll(`${folder}/`, ''), name.replaceAll('file://', ''))
    return { name: `${place.replace(/(:\d+):\d+$/, '$1')} ${mark}`.trim(), kind: 'JavaScript' }
  }
  if (library.endsWith('.node')) {
    return { name: symbol.replaceAll('tcp_stream_muxer::', ''), kind: 'addon' }
  }
  if (symbol.startsWith('Builtins_')) return { name: symbol, kind: 'V8 builtins' }
  if (/\/node$/.test(library)) return { name: symbol, kind: 'Node and V8' }
  return { name: symbol, kind: /\/(libc|libm|ld-linux)[^/]*$/.test(library) ? 'libc' : 'other' }
}

// The suffixes tell the flame graph's palette which frames are compiled JavaScript and which are the kernel's.
const SUFFIX = { JavaScript: '_[j]', kernel: '_[k]' }

/** Stacks in the form of flame graph tools: outermost frame first, with the thread as its base. */
export function folded (samples) {
  const counts = new Map()
  for (const { thread, frames } of samples) {
    const names = frames.map(({ name, kind }) => name.replaceAll(';', ':') + (SUFFIX[kind] ?? ''))
    const stack = [thread, ...names.reverse()].join(';')
    counts.set(stack, (counts.get(stack) ?? 0) + 1)
  }
  return [...counts].map(([stack, count]) => `${stack} ${count}\n`).join('')
}

// The kind of work that a sample was spent on.
function kindOf (frames) {
  if (frames.some(({ name, kind }) => kind === 'Node and V8' && COLLECTOR.test(name))) return 'garbage collection'
  if (frames.some(({ name, kind }) => kind === 'Node and V8' && COMPILER.test(name))) return 'V8 compiling'
  return frames[0].kind
}

// The name of a copying function says little, so its caller is named with it.
function selfName ([self, ...callers]) {
  if (self.kind === 'kernel') return `${self.name} [kernel]`
  if (self.kind !== 'libc') return self.name
  const caller = callers.find(({ kind }) => kind !== 'libc')
  return caller === undefined ? self.name : `${self.name} ← ${caller.name}`
}

// The entry into the kernel: the wrapper of a system call, or whatever touched a fresh page.
function entryName (frames) {
  const at = frames.findIndex(({ kind }) => kind !== 'kernel')
  const fault = frames.slice(0, Math.max(at, 0)).some(({ name }) => /page_fault/.test(name))
  const entry = at < 0 ? 'nothing of the process' : frames[at].name
  return fault ? `page fault in ${entry}` : entry
}

function ranked (names, limit) {
  const counts = new Map()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return [...counts].sort((a, b) => b[1] - a[1]).slice(0, limit)
}

/** The functions with the most self time, per thread, as text. */
export function summary (samples) {
  const lines = []
  for (const [thread, total] of ranked(samples.map(({ thread }) => thread), Infinity)) {
    const own = samples.filter((sample) => sample.thread === thread).map(({ frames }) => frames)
    const row = ([name, count]) => `  ${(100 * count / total).toFixed(1).padStart(5)} %  ${name}`
    const kernel = own.filter(([self]) => self.kind === 'kernel')
    lines.push(`${thread}: ${total} samples`, ...ranked(own.map(kindOf), Infinity).map(row))
    if (thread === OTHERS) {
      lines.push('')
      continue
    }
    lines.push('  self time', ...ranked(own.map(selfName), TOP).map(row))
    if (kernel.length > 0) {
      lines.push('  in the kernel, by what led there', ...ranked(kernel.map(entryName), ENTRIES).map(row))
    }
    lines.push('')
  }
  return lines.join('\n')
}
