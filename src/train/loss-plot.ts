/** The course of a run as a picture (SVG): the training loss of each step, its running mean, and the held-out losses. */

export interface LossRow {
  readonly step: number
  readonly loss?: number
  readonly heldOutLoss?: number
}

const WIDTH = 880
const HEIGHT = 440
const MARGIN = { left: 64, right: 24, top: 48, bottom: 48 }
/** Most points of the thin line: beyond that several steps share one. */
const POINTS = 1200

/** Round numbers that divide [low, high] into about `count` parts. */
export function ticks(low: number, high: number, count: number): number[] {
  const rough = (high - low) / count
  if (!(rough > 0)) return [low]
  let unit = 1
  while (unit * 10 <= rough) unit *= 10
  while (unit > rough) unit /= 10
  const step = unit * (rough / unit >= 5 ? 5 : rough / unit >= 2 ? 2 : 1)
  const first = Math.ceil(low / step)
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)))
}

/** @param title shown above the picture; escaped. @returns an SVG document, or undefined when there are fewer than two training losses */
export function lossPlot(rows: readonly LossRow[], title: string): string | undefined {
  const training = thin(rows.filter(r => r.loss !== undefined).map(r => ({ step: r.step, loss: r.loss! })))
  const held = rows.filter(r => r.heldOutLoss !== undefined).map(r => ({ step: r.step, loss: r.heldOutLoss! }))
  if (training.length < 2) return undefined
  const last = Math.max(training.at(-1)!.step, held.at(-1)?.step ?? 0)
  const losses = [...training, ...held].map(p => p.loss)
  const top = Math.max(...losses)
  const bottom = Math.min(...losses)
  const pad = (top - bottom || 1) * 0.05
  const x = (step: number): number => MARGIN.left + (step / last) * (WIDTH - MARGIN.left - MARGIN.right)
  const y = (loss: number): number => MARGIN.top + ((top + pad - loss) / (top - bottom + 2 * pad || 1)) * (HEIGHT - MARGIN.top - MARGIN.bottom)
  const line = (points: readonly { step: number; loss: number }[]): string => points.map(p => `${x(p.step).toFixed(1)},${y(p.loss).toFixed(1)}`).join(' ')
  const grid = ticks(bottom - pad, top + pad, 6).map(t =>
    `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${y(t).toFixed(1)}" y2="${y(t).toFixed(1)}" stroke="#e3e3e3"/>`
    + `<text x="${MARGIN.left - 8}" y="${(y(t) + 4).toFixed(1)}" text-anchor="end">${t}</text>`)
  const steps = ticks(0, last, 8).map(t => `<text x="${x(t).toFixed(1)}" y="${HEIGHT - MARGIN.bottom + 20}" text-anchor="middle">${t.toLocaleString('en-US')}</text>`)
  const best = held.reduce<{ step: number; loss: number } | undefined>((b, p) => (b === undefined || p.loss < b.loss ? p : b), undefined)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="12" fill="#444">
<rect width="100%" height="100%" fill="#fff"/>
<text x="${MARGIN.left}" y="24" font-size="15" fill="#111">${escape(title)}</text>
<g font-size="12"><rect x="${WIDTH - 300}" y="15" width="18" height="3" fill="#1f6fb2"/><text x="${WIDTH - 276}" y="20">training loss (running mean)</text>
<circle cx="${WIDTH - 94}" cy="16" r="4" fill="#c2410c"/><text x="${WIDTH - 84}" y="20">held out</text></g>
${grid.join('\n')}
${steps.join('\n')}
<text x="${(MARGIN.left + WIDTH - MARGIN.right) / 2}" y="${HEIGHT - 8}" text-anchor="middle">step</text>
<polyline points="${line(training)}" fill="none" stroke="#9cc3e3" stroke-width="1"/>
<polyline points="${line(runningMean(training))}" fill="none" stroke="#1f6fb2" stroke-width="2"/>
<polyline points="${line(held)}" fill="none" stroke="#c2410c" stroke-width="1.5" stroke-dasharray="4 3"/>
${held.map(p => `<circle cx="${x(p.step).toFixed(1)}" cy="${y(p.loss).toFixed(1)}" r="4" fill="#c2410c"/>`).join('')}
${best === undefined ? '' : `<text x="${Math.min(x(best.step), WIDTH - 60).toFixed(1)}" y="${(y(best.loss) - 10).toFixed(1)}" text-anchor="middle" fill="#c2410c">${best.loss.toFixed(4)}</text>`}
</svg>
`
}

function thin(points: readonly { step: number; loss: number }[]): { step: number; loss: number }[] {
  const size = Math.ceil(points.length / POINTS)
  const out: { step: number; loss: number }[] = []
  for (let i = 0; i < points.length; i += size) {
    const group = points.slice(i, i + size)
    out.push({ step: group.at(-1)!.step, loss: group.reduce((s, p) => s + p.loss, 0) / group.length })
  }
  return out
}

/** Mean over about a fiftieth of the points around each. */
function runningMean(points: readonly { step: number; loss: number }[]): { step: number; loss: number }[] {
  const half = Math.max(1, Math.round(points.length / 100))
  return points.map((p, i) => {
    const near = points.slice(Math.max(0, i - half), i + half + 1)
    return { step: p.step, loss: near.reduce((s, q) => s + q.loss, 0) / near.length }
  })
}

const escape = (text: string): string => text.replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`)
