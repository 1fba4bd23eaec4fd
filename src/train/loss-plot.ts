/** The course of a run as a picture (SVG): the loss of each step, its running mean, and the held-out losses. */
import { PlotFrame, runningMean, thin } from './plot-frame.ts'
import type { Point } from './plot-frame.ts'

/** A line of log.jsonl. */
export interface LossRow {
  readonly step: number
  readonly loss?: number
  readonly heldOutLoss?: number
  readonly bitsPerByte?: number
  readonly tokensPerSecond?: number
}

/** The values of one field, where it is a number. */
export const pointsOf = (rows: readonly LossRow[], field: 'loss' | 'heldOutLoss' | 'bitsPerByte'): Point[] =>
  rows.flatMap(row => (Number.isFinite(row[field]) ? [{ step: row.step, value: row[field]! }] : []))

export const LOSS = 'loss (nats per token)'

const TRAINING = '#1f6fb2'
const HELD_OUT = '#c2410c'

/** @param title shown above the picture @returns an SVG document, or undefined for fewer than two training losses */
export function lossPlot(rows: readonly LossRow[], title: string): string | undefined {
  const training = thin(pointsOf(rows, 'loss'))
  const held = pointsOf(rows, 'heldOutLoss')
  if (training.length < 2) return undefined
  const frame = new PlotFrame({ title, quantity: LOSS, points: [...training, ...held] })
  return frame.document(`${legend(frame)}
<polyline points="${frame.path(training)}" fill="none" stroke="#9cc3e3" stroke-width="1"/>
<polyline points="${frame.path(runningMean(training))}" fill="none" stroke="${TRAINING}" stroke-width="2"/>
<polyline points="${frame.path(held)}" fill="none" stroke="${HELD_OUT}" stroke-width="1.5" stroke-dasharray="4 3"/>
${frame.dots(held, 4, ` fill="${HELD_OUT}"`)}
${best(frame, held)}`)
}

function legend({ width }: PlotFrame): string {
  return (
    `<g><rect x="${width - 300}" y="17" width="18" height="3" fill="${TRAINING}"/>` +
    `<text x="${width - 276}" y="22">training loss (running mean)</text>` +
    `<circle cx="${width - 94}" cy="18" r="4" fill="${HELD_OUT}"/><text x="${width - 84}" y="22">held-out</text></g>`
  )
}

/** The lowest held-out loss in figures. */
function best(frame: PlotFrame, held: readonly Point[]): string {
  const [first, ...others] = held
  if (first === undefined) return ''
  const { step, value } = others.reduce((b, p) => (p.value < b.value ? p : b), first)
  const x = Math.min(frame.x(step), frame.width - 60).toFixed(1)
  const y = (frame.y(value) - 10).toFixed(1)
  return `<text x="${x}" y="${y}" text-anchor="middle" fill="${HELD_OUT}">${value.toFixed(4)}</text>`
}
