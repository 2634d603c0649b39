// Shows the progress: a bar on a terminal, a line for each run elsewhere. The output goes to stderr, so that the tables
// on stdout can be redirected. Drawing is rare, because what is measured runs on the same CPUs.

import process from 'node:process'
import { show } from './report.mjs'

const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`

/** cli-progress is a dependency of the benchmarks alone. If it is not installed, lines take its place. */
async function barOf (stream) {
  if (!stream.isTTY) return undefined
  try {
    const { default: { SingleBar } } = await import('cli-progress')
    return new SingleBar({
      stream,
      format: '{bar} {percentage} %  {clock}  {label}  {told}',
      barsize: 20,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      hideCursor: true,
      clearOnComplete: true,
      fps: 2,
      // Signals are the caller's, which has processes to end as well.
      gracefulExit: false
    })
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error
    return undefined
  }
}

export async function startProgress (total, stream = process.stderr) {
  return new Progress(total, stream, await barOf(stream))
}

class Progress {
  constructor (total, stream, bar) {
    this.total = total
    this.count = 0
    this.stream = stream
    this.bar = bar
    this.began = performance.now()
    this.label = ''
    this.told = ''
    this.resume()
  }

  begin ({ workload, run, runs, contestant }) {
    this.label = `${workload} ${run}/${runs} ${contestant}`
    this.runBegan = performance.now()
    this._draw()
  }

  done (outcome, metric) {
    this.count++
    this.told = outcome.error === undefined
      ? `${show(outcome.metrics[metric.key], metric)} ${metric.title}`
      : `failed: ${outcome.error}`
    if (this.bar) this._draw()
    else {
      const took = ((performance.now() - this.runBegan) / 1000).toFixed(1)
      this.stream.write(`[${this.count}/${this.total}, ${this._clock()}] ${this.label}: ${this.told} (${took} s)\n`)
    }
  }

  /** Makes room for other output on the same terminal. */
  pause () {
    clearInterval(this.timer)
    this.bar?.stop()
  }

  resume () {
    if (!this.bar) return
    this.bar.start(this.total, this.count, this._payload())
    this.timer = setInterval(() => this._draw(), 1000)
  }

  _draw () { this.bar?.update(this.count, this._payload()) }

  _payload () {
    // The room beside the bar, the clock and the number before it.
    const room = Math.max(0, (this.stream.columns || 80) - 48 - this.label.length)
    return { clock: this._clock(), label: this.label, told: this.told.slice(0, room) }
  }

  _clock () {
    const elapsed = (performance.now() - this.began) / 1000
    if (this.count === 0) return clock(elapsed)
    return `${clock(elapsed)}, ${clock(elapsed / this.count * (this.total - this.count))} left`
  }
}
