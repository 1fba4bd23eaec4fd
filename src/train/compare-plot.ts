/** Several runs in one picture (SVG): the running means of their training losses and their held-out losses. */
import { LOSS, pointsOf } from './loss-plot.ts'
import type { LossRow } from './loss-plot.ts'
import { PlotFrame, escapeXml, runningMean, thin } from './plot-frame.ts'
import type { Point } from './plot-frame.ts'

export interface ComparedRun {
  /** Name in the legend. */
  readonly label: string
  readonly rows: readonly LossRow[]
}

/** Marks the pictures of `verit compare`, which it may replace. */
export const COMPARE_MARK = '<!-- verit compare -->'

/** Colours that differ in print and for most kinds of colour blindness. */
const COLOURS = ['#1f6fb2', '#c2410c', '#15803d', '#7c3aed', '#a16207', '#0e7490', '#be185d', '#374151']
const LINE_HEIGHT = 18
const LABEL_WIDTH = 260

interface Series {
  readonly label: string
  readonly colour: string
  readonly training: readonly Point[]
  readonly held: readonly Point[]
}

/**
 * @param unit 'loss' for runs with one tokenizer; 'bitsPerByte' for others, whose tokens differ: held-out values alone
 * @returns an SVG document, or undefined where no run has a value
 */
export function comparePlot(runs: readonly ComparedRun[], unit: 'loss' | 'bitsPerByte'): string | undefined {
  const series = runs.map((run, i): Series => ({
    label: run.label,
    colour: COLOURS[i % COLOURS.length]!,
    training: unit === 'loss' ? runningMean(thin(pointsOf(run.rows, 'loss'))) : [],
    held: pointsOf(run.rows, unit === 'loss' ? 'heldOutLoss' : 'bitsPerByte')
  }))
  const points = series.flatMap(s => [...s.training, ...s.held])
  if (points.length === 0) return undefined
  const legendRows = Math.ceil(series.length / 3)
  const quantity = unit === 'loss' ? LOSS : 'held-out loss (bits per byte)'
  const title = unit === 'loss' ? 'held-out loss (dots) and training loss (running mean)' : 'held-out loss'
  const frame = new PlotFrame({ title, quantity, points, legend: legendRows * LINE_HEIGHT })
  const body = [...series.map((s, i) => legendEntry(frame, s, i)), ...series.map(s => lines(frame, s))]
  return frame.document(`${COMPARE_MARK}\n${body.join('\n')}`)
}

function legendEntry(frame: PlotFrame, { label, colour }: Series, i: number): string {
  const x = frame.left + (i % 3) * LABEL_WIDTH
  const y = 46 + Math.floor(i / 3) * LINE_HEIGHT
  const shown = label.length > 36 ? `${label.slice(0, 35)}\u2026` : label
  return (
    `<rect x="${x}" y="${y - 5}" width="18" height="3" fill="${colour}"/>` +
    `<circle cx="${x + 9}" cy="${y - 3.5}" r="4" fill="${colour}"/>` +
    `<text x="${x + 26}" y="${y}">${escapeXml(shown)}</text>`
  )
}

function lines(frame: PlotFrame, { colour, training, held }: Series): string {
  return (
    `<g fill="none" stroke="${colour}"><polyline points="${frame.path(training)}" stroke-opacity="0.4"/>` +
    `<polyline points="${frame.path(held)}" stroke-width="2"/>` +
    `<g fill="${colour}" stroke="none">${frame.dots(held, 3.5)}</g></g>`
  )
}
