// Numbers and names as a person reads them.

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB']

export function size (bytes) {
  let unit = 0
  let value = bytes
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${UNITS[unit]}`
}

export function count (value, word) {
  return `${value.toLocaleString('en')} ${word}${value === 1 ? '' : 's'}`
}

export function milliseconds (value) {
  return value === null ? '–' : `${value.toFixed(value < 10 ? 2 : 0)} ms`
}

/** A file name may hold line breaks and escape sequences; a terminal would obey them. */
export function printable (name) {
  return String(name).replace(/\p{C}/gu, '?')
}

/** The end of a path tells more than its beginning. */
export function fit (name, width) {
  const letters = [...printable(name)]
  if (letters.length <= width) return letters.join('').padEnd(width)
  return width < 1 ? '' : `…${letters.slice(letters.length - width + 1).join('')}`
}
