// Shows progress: bars on a terminal, a line each second elsewhere. This file only draws, and knows neither processes nor
// streams.

import process from 'node:process'
import { count, fit, milliseconds, size } from './text.mjs'

// Rows of the terminal that are not for transfers: the total, the summary that follows and the prompt.
const OTHER_ROWS = 4
const BAR_WIDTH = 24

function totalText ({ files, allFiles, bytes, allBytes, rate, rtt }) {
  return `${count(files, 'file')} of ${allFiles.toLocaleString('en')}, ${size(bytes)} of ${size(allBytes)}, ` +
    `${size(rate)}/s, round trip ${milliseconds(rtt)}`
}

class Lines {
  constructor (totals) {
    this.timer = setInterval(() => this.print(totals()), 1000)
  }

  print (total) {
    if (total.allFiles === null) console.log('listing the folder')
    else console.log(`${percent(total.bytes, total.allBytes)} ${totalText(total)}`)
  }

  stop () { clearInterval(this.timer) }
}

class Bars {
  constructor (totals, transfers, parallel, { MultiBar, Format }) {
    this.totals = totals
    this.transfers = transfers
    this.parallel = parallel
    const format = (options, { progress }, { kind, text, name }) => {
      if (kind === 'idle') return ''
      const drawn = `${Format.BarFormat(progress, options)} ${percent(progress, 1)} `
      return kind === 'total' ? drawn + text : drawn + fit(name, this.columns - BAR_WIDTH - 7)
    }
    this.multi = new MultiBar({
      stream: process.stdout,
      format,
      barsize: BAR_WIDTH,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      hideCursor: true,
      clearOnComplete: true,
      emptyOnZero: true,
      fps: 10,
      // The caller handles signals, because it has two processes to end as well.
      gracefulExit: false
    })
    this.total = this.multi.create(1, 0, { kind: 'total', text: 'listing the folder' })
    this.slots = []
    this.timer = setInterval(() => this.draw(), 100)
  }

  get columns () { return process.stdout.columns || 80 }

  get room () { return Math.max(0, Math.min(this.parallel, (process.stdout.rows || 24) - OTHER_ROWS)) }

  draw () {
    const total = this.totals()
    if (total.allFiles !== null) {
      this.total.setTotal(Math.max(1, total.allBytes))
      this.total.update(total.allBytes === 0 ? 1 : Math.min(total.bytes, total.allBytes), { text: totalText(total) })
    }
    while (this.slots.length < this.room) {
      this.slots.push({ id: null, bar: this.multi.create(1, 0, { kind: 'idle' }) })
    }
    while (this.slots.length > this.room) this.multi.remove(this.slots.pop().bar)
    this.assign()
  }

  /** A transfer keeps its line as long as it lasts; free lines go to those with the most still to come. */
  assign () {
    const waiting = new Map(this.transfers().map((transfer) => [transfer.id, transfer]))
    const free = []
    for (const slot of this.slots) {
      const transfer = waiting.get(slot.id)
      waiting.delete(slot.id)
      if (transfer) show(slot, transfer)
      else free.push(slot)
    }
    const rest = [...waiting.values()].sort((a, b) => (b.size - b.bytes) - (a.size - a.bytes))
    for (const slot of free) show(slot, rest.shift())
  }

  stop () {
    clearInterval(this.timer)
    this.multi.stop()
  }
}

function show (slot, transfer) {
  slot.id = transfer?.id ?? null
  if (!transfer) {
    slot.bar.update(0, { kind: 'idle' })
    return
  }
  slot.bar.setTotal(Math.max(1, transfer.size))
  slot.bar.update(transfer.size === 0 ? 1 : Math.min(transfer.bytes, transfer.size), { kind: 'file', name: transfer.name })
}

function percent (part, whole) {
  return `${whole === 0 ? 100 : Math.min(100, Math.floor(100 * part / whole))}%`.padStart(4)
}

/** totals(): { files, allFiles (null: not yet known), bytes, allBytes, rate, rtt }; transfers(): [{ id, name, size, bytes }]. */
export async function display (totals, transfers, parallel) {
  if (!process.stdout.isTTY) return new Lines(totals)
  const { default: progress } = await import('cli-progress')
  return new Bars(totals, transfers, parallel, progress)
}
