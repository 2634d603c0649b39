// SVG plots by ECharts, drawn without a browser: panels of horizontal bars, the best on top, with the lowest and the
// highest run. They fit any background: nothing is filled, and every colour has contrast with white and with black.

import { CustomChart } from 'echarts/charts'
import { GridComponent, TitleComponent } from 'echarts/components'
import * as echarts from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'
import { BASES } from './sets.mjs'
import { over, show } from './report.mjs'

echarts.use([CustomChart, GridComponent, TitleComponent, SVGRenderer])

// A grey of equal contrast, 4.3, with white and with GitHub's black.
const INK = '#7a7a7a'
// The whiskers must be visible on the bars, too.
const WHISKER = '#5f656d'
const COLORS = { ours: '#2f81f7', base: '#c58a2b', other: '#929aa5' }
const FONT = 'system-ui, Helvetica, Arial, sans-serif'

const ROW = 19
const TITLE = 30
const GAP = 16
// The widths of the longest name, and of '1.23 M' beside the longest bar.
const LABELS = 122
const VALUES = 62

/** A panel: { title, bars: [{ label, kind, stats, text }] }, or undefined if nothing was measured for it. */
export function panelOf (workload, metric, contestants, title = metric.plot) {
  const bars = contestants.flatMap(({ id, label }) => {
    const outcomes = workload.outcomes[id]
    if (outcomes === undefined) return []
    const stats = over(outcomes, metric.key)
    const kind = id.split('/')[0] === 'ours' ? 'ours' : BASES.includes(id) ? 'base' : 'other'
    return [{ label, kind, stats, text: stats ? show(stats.median, metric) : 'failed' }]
  })
  if (!bars.some(({ stats }) => stats)) return undefined
  const rank = ({ stats }) => stats === null ? Infinity : metric.isLess ? stats.median : -stats.median
  return { title: metric.isLess ? `${title} (less is better)` : title, bars: bars.sort((a, b) => rank(a) - rank(b)) }
}

function renderBar (bars) {
  return (params, api) => {
    const index = api.value(0)
    const { stats, kind, text } = bars[index]
    const [left, middle] = api.coord([0, index])
    const [end] = api.coord([stats?.median ?? 0, index])
    const [low] = api.coord([stats?.min ?? 0, index])
    const [high] = api.coord([stats?.max ?? 0, index])
    const height = ROW * 0.62
    const line = (x1, x2, y1, y2) => ({
      type: 'line', shape: { x1, x2, y1, y2 }, style: { stroke: WHISKER, lineWidth: 1.5 }
    })
    const whisker = low === high
      ? []
      : [line(low, high, middle, middle), ...[low, high].map((x) => line(x, x, middle - 3, middle + 3))]
    return {
      type: 'group',
      children: [
        {
          type: 'rect',
          shape: { x: left, y: middle - height / 2, width: end - left, height },
          style: { fill: COLORS[kind] }
        },
        ...whisker,
        {
          type: 'text',
          x: Math.max(end, high) + 6,
          y: middle,
          style: {
            text,
            fill: kind === 'ours' ? COLORS.ours : INK,
            verticalAlign: 'middle',
            font: `${kind === 'ours' ? 'bold ' : ''}11px ${FONT}`
          }
        }
      ]
    }
  }
}

/** The SVG of some panels, `columns` of them beside each other. */
export function plot (panels, { columns, width }) {
  const cell = (width - GAP * (columns - 1)) / columns
  const height = (panel) => TITLE + panel.bars.length * ROW
  const tops = []
  let bottom = 0
  for (let index = 0; index < panels.length; index += columns) {
    const inRow = panels.slice(index, index + columns)
    tops.push(...inRow.map(() => bottom))
    bottom += Math.max(...inRow.map(height)) + GAP
  }
  const left = (index) => (index % columns) * (cell + GAP)
  const each = (make) => panels.map((panel, index) => make(panel, index))
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height: bottom - GAP + 4 })
  chart.setOption({
    animation: false,
    textStyle: { fontFamily: FONT },
    title: each(({ title }, index) => ({
      text: title,
      left: left(index),
      top: tops[index],
      padding: [6, 0],
      textStyle: { color: INK, fontSize: 12.5, fontFamily: FONT }
    })),
    grid: each(({ bars }, index) => ({
      left: left(index) + LABELS, top: tops[index] + TITLE, width: cell - LABELS - VALUES, height: bars.length * ROW
    })),
    xAxis: each(({ bars }, index) => ({
      gridIndex: index, type: 'value', show: false, min: 0, max: Math.max(...bars.map(({ stats }) => stats?.max ?? 0))
    })),
    yAxis: each(({ bars }, index) => ({
      gridIndex: index,
      type: 'category',
      inverse: true,
      data: bars.map(({ label, kind }) => {
        return kind === 'ours' ? { value: label, textStyle: { color: COLORS.ours, fontWeight: 'bold' } } : label
      }),
      axisLine: { show: true, lineStyle: { color: INK } },
      axisTick: { show: false },
      axisLabel: { color: INK, fontSize: 11, interval: 0 }
    })),
    series: each(({ bars }, index) => ({
      type: 'custom',
      xAxisIndex: index,
      yAxisIndex: index,
      clip: false,
      silent: true,
      encode: { x: 1, y: 0 },
      renderItem: renderBar(bars),
      data: bars.map(({ stats }, bar) => [bar, stats?.median ?? 0])
    }))
  })
  const svg = chart.renderToSVGString()
  chart.dispose()
  return `${svg}\n`
}
