// Plots a value over time.

import { number } from './format.js'
import { colour, onTheme } from './theme.js'

/** All values are whole numbers. */
const STEPS = [1, 2, 5]
  .flatMap((n) => Array.from({ length: 13 }, (_, i) => n * 10 ** i))
  .sort((a, b) => a - b)
const hour = (s) => new Date(s * 1_000).toLocaleTimeString('en-GB')

/**
 * A plot of one quantity over time, as wide as its place.
 *
 * @param {HTMLElement} place
 * @param {string} label
 * @returns {(at: number[], values: (number | null)[]) => void} at: ms since 1970
 */
export function plot(place, label) {
  let data = [[], []]
  let chart
  const axis = (more) => ({
    stroke: colour('dim'),
    grid: { stroke: colour('line'), width: 1 },
    ticks: { show: false },
    font: '11px system-ui, sans-serif',
    ...more,
  })
  const draw = () => {
    chart?.destroy()
    chart = undefined
    if (place.clientWidth === 0) return // not shown
    chart = new uPlot(
      {
        width: place.clientWidth,
        height: place.clientHeight,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
        padding: [8, 30, 0, 0],
        // From 0 up to something readable, however flat it is.
        scales: {
          x: { time: true },
          y: { range: (_, _least, most) => [0, Math.max(10, (most ?? 0) * 1.1)] },
        },
        axes: [
          axis({ space: 90, size: 26, values: (_, ticks) => ticks.map(hour) }),
          axis({
            size: (_, labels) => 16 + 7 * Math.max(3, ...(labels ?? []).map(({ length }) => length)),
            incrs: STEPS,
            values: (_, ticks) => ticks.map(number),
          }),
        ],
        series: [
          {},
          {
            label,
            stroke: colour('accent'),
            fill: colour('accent-soft'),
            width: 1.5,
            points: { show: false },
          },
        ],
        hooks: { setCursor: [({ cursor: { idx } }) => tell(idx)] },
      },
      data,
      place,
    )
  }
  const tell = (i) => {
    const value = i == null ? null : data[1][i]
    place.title = value == null ? '' : `${number(value)} at ${hour(data[0][i])}`
  }
  new ResizeObserver(draw).observe(place)
  onTheme(draw)
  return (at, values) => {
    data = [at.map((ms) => ms / 1_000), values]
    if (chart) chart.setData(data)
    else draw()
  }
}
