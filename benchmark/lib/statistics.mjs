// Numbers in, numbers out; what they mean is the workload's business.

/** q of 0.5 is the median; between two values the lower rank is taken for latencies, so that p99 is a value that was measured. */
export function quantile (sorted, q) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]
}

export function summary (values) {
  if (values.length === 0) return null
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  return { median, min: sorted[0], max: sorted[sorted.length - 1] }
}

const SCALES = [[1e9, 'G'], [1e6, 'M'], [1e3, 'k']]

/** 5712345 → '5.71 M'. Three digits: loopback on a shared machine carries no more. */
export function format (value) {
  if (value === 0) return '0'
  for (const [scale, letter] of SCALES) {
    if (Math.abs(value) >= scale) return `${(value / scale).toPrecision(3)} ${letter}`
  }
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3)
}
