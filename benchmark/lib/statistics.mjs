// Numbers in, numbers out. Their meaning is the workload's.

/** The quantile q; 0.5 is the median. Nothing is interpolated: a p99 is a value that was measured. */
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

export function sumOf (list, key) {
  let sum = 0
  for (const entry of list) sum += entry[key]
  return sum
}

const SCALES = [[1e9, 'G'], [1e6, 'M'], [1e3, 'k']]

/** 5712345 → '5.71 M'. Three digits: loopback on a shared machine carries no more. */
export function format (value) {
  if (value === 0) return '0'
  for (const [scale, letter] of SCALES) {
    // 999,600 has three digits as 1.00 M, not as 1.00e+3 k.
    if (Math.abs(value) >= scale * 0.9995) return `${digits(value / scale)} ${letter}`
  }
  return digits(value)
}

/** Three digits, never an exponent: 0.0123, 1.23, 123, 1,235. */
export function digits (value) {
  const size = Math.abs(value)
  if (size >= 99.95) return Math.round(value).toLocaleString('en')
  if (size >= 0.001) return value.toPrecision(3)
  return value.toFixed(5)
}
