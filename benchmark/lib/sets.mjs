// The contents of the two sets. Their order is that of the report.

// `strict`, in which an old peer may die, and `leak`, which takes minutes and has no winner, are run by name only.
const WORKLOADS = [
  'small', 'small-1k', 'small-100', 'bulk', 'bulk-16', 'pingpong', 'pingpong-64', 'open',
  'idle-streams', 'idle-connections', 'wire'
]

export const SETS = {
  // As much as fits into five minutes on two cores. `full` has what was left out for that.
  short: {
    contestants: ['ours', 'original', 'net', 'net-corked', 'http2', 'http2-windows', 'protomux', 'multiplex'],
    workloads: WORKLOADS.filter((name) => name !== 'small-1k'),
    runs: 3,
    // Memory and bytes hardly differ from run to run.
    steadyRuns: 1,
    times: { warmUp: 0.4, seconds: 0.7 }
  },
  full: {
    contestants: [
      'ours', 'original', 'original-nodelay', 'net', 'net-corked', 'http2', 'http2-windows', 'protomux', 'multiplex',
      'bpmux', 'libp2p-yamux', 'nerdbank-streams', 'yamux-js'
    ],
    workloads: WORKLOADS,
    runs: 5,
    times: { warmUp: 1, seconds: 2 }
  },
  // What encrypts, with two that do not beside it. The report is a section of the same document.
  tls: {
    contestants: [
      'ours-tls', 'tls', 'ours-haproxy', 'ours', 'net', 'qmux-wss', 'http3-quic', 'libp2p-quic', 'datachannel'
    ],
    workloads: [
      'small', 'bulk', 'bulk-16', 'pingpong', 'open', 'handshakes', 'handshakes-resumed', 'idle-connections'
    ],
    runs: 7,
    steadyRuns: 3,
    overrides: { 'idle-connections': { count: 2000 } },
    times: { warmUp: 0.5, seconds: 1 },
    section: 'TLS'
  }
}

// The workloads of one plot each, with one panel for each metric that has a `plot`.
export const GROUPS = [
  { name: 'messages', title: 'Small messages', workloads: ['small', 'small-1k', 'small-100'] },
  { name: 'bulk', title: 'Large writes', workloads: ['bulk', 'bulk-16'] },
  { name: 'latency', title: 'Round trips', workloads: ['pingpong', 'pingpong-64'] },
  { name: 'open', title: 'Opening streams', workloads: ['open'] },
  { name: 'memory', title: 'Memory', workloads: ['idle-streams', 'idle-connections'] },
  { name: 'wire', title: 'Bytes on the wire', workloads: ['wire'] }
]

/** The panels of the overview: workload, metric and title. */
export const OVERVIEW = [
  { workload: 'small', key: 'rate', title: '64-byte messages per second' },
  { workload: 'bulk', key: 'rate', title: '64 KiB writes, bytes per second' },
  { workload: 'pingpong', key: 'p50', title: 'round trip, median µs' },
  { workload: 'open', key: 'rate', title: 'streams opened and ended per second' }
]

/** The contestants that every table has ratios to. */
export const BASES = ['original', 'net', 'tls']
