/** The frame of a plot over the steps of a run, as SVG: scales, grid, ticks, titles. The caller draws the lines. */

export interface Point {
  readonly step: number
  readonly value: number
}

export interface FrameOptions {
  /** Shown above the plot; escaped. */
  readonly title: string
  /** Title of the vertical axis: the quantity with its unit. */
  readonly quantity: string
  /** All points that the frame must hold. */
  readonly points: readonly Point[]
  /** Pixels between title and plot, for a legend. Default 0. */
  readonly legend?: number
}

const WIDTH = 880
const PLOT_HEIGHT = 344
const MARGIN = { left: 76, right: 28, top: 48, bottom: 52 }

/** Round numbers that divide [low, high] into about `count` parts. */
export function ticks(low: number, high: number, count: number): number[] {
  const rough = (high - low) / count
  if (!(rough > 0)) return [low]
  let unit = 1
  while (unit * 10 <= rough) unit *= 10
  while (unit > rough) unit /= 10
  const step = unit * (rough / unit >= 5 ? 5 : rough / unit >= 2 ? 2 : 1)
  const first = Math.ceil(low / step)
  const length = Math.floor(high / step) - first + 1
  return Array.from({ length }, (_, i) => Number(((first + i) * step).toPrecision(12)))
}

/** Labels of ticks, all with the decimals that the finest one needs: "2.0", "2.2". */
export function tickLabels(values: readonly number[]): string[] {
  const decimals = Math.max(0, ...values.map(v => /\.(\d+)$/.exec(String(v))?.[1]?.length ?? 0))
  const options = { minimumFractionDigits: Math.min(decimals, 20), maximumFractionDigits: Math.min(decimals, 20) }
  return values.map(v => v.toLocaleString('en-US', options))
}

export class PlotFrame {
  readonly width = WIDTH
  readonly top: number
  readonly bottom: number
  readonly left = MARGIN.left
  readonly right = WIDTH - MARGIN.right
  #options: FrameOptions
  #last: number
  #low: number
  #high: number

  constructor(options: FrameOptions) {
    const values = options.points.map(p => p.value)
    const [least, most] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))]
    const pad = (most - least || 1) * 0.05
    this.#options = options
    this.#last = options.points.reduce((last, p) => Math.max(last, p.step), 1)
    this.#low = least - pad
    this.#high = most + pad
    this.top = MARGIN.top + (options.legend ?? 0)
    this.bottom = this.top + PLOT_HEIGHT
  }

  x(step: number): number {
    return this.left + (step / this.#last) * (this.right - this.left)
  }

  y(value: number): number {
    return this.top + ((this.#high - value) / (this.#high - this.#low)) * PLOT_HEIGHT
  }

  /** Coordinates for a polyline. */
  path(points: readonly Point[]): string {
    return points.map(p => `${this.x(p.step).toFixed(1)},${this.y(p.value).toFixed(1)}`).join(' ')
  }

  /** A dot for each point. @param attributes of the circles */
  dots(points: readonly Point[], radius: number, attributes = ''): string {
    const at = (p: Point): string => `cx="${this.x(p.step).toFixed(1)}" cy="${this.y(p.value).toFixed(1)}"`
    return points.map(p => `<circle ${at(p)} r="${radius}"${attributes}/>`).join('')
  }

  /** The whole document. @param body of the frame, as SVG */
  document(body: string): string {
    const height = this.bottom + MARGIN.bottom
    const middle = (this.top + this.bottom) / 2
    const { title, quantity } = this.#options
    const text = 'font-family="system-ui, sans-serif" font-size="12" fill="#444"'
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" ${text}>
<rect width="100%" height="100%" fill="#fff"/>
<text x="${this.left}" y="26" font-size="15" fill="#111">${escapeXml(title)}</text>
${this.#grid()}
<text x="${(this.left + this.right) / 2}" y="${height - 10}" text-anchor="middle">step</text>
<text transform="translate(20 ${middle}) rotate(-90)" text-anchor="middle">${escapeXml(quantity)}</text>
${body}
</svg>
`
  }

  #grid(): string {
    const values = ticks(this.#low, this.#high, 6)
    const rows = tickLabels(values).map((label, i) => {
      const y = this.y(values[i]!)
      return (
        `<line x1="${this.left}" x2="${this.right}" y1="${y.toFixed(1)}" y2="${y.toFixed(1)}" stroke="#e3e3e3"/>` +
        `<text x="${this.left - 8}" y="${(y + 4).toFixed(1)}" text-anchor="end">${label}</text>`
      )
    })
    const steps = ticks(0, this.#last, 8)
    const columns = tickLabels(steps).map(
      (label, i) =>
        `<text x="${this.x(steps[i]!).toFixed(1)}" y="${this.bottom + 20}" text-anchor="middle">${label}</text>`
    )
    return [...rows, ...columns].join('\n')
  }
}

export const escapeXml = (text: string): string => text.replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`)

/** Most points of a line: beyond that several steps share one. */
const POINTS = 1200

/** At most `POINTS` points: means over equal numbers of steps. */
export function thin(points: readonly Point[]): Point[] {
  const size = Math.ceil(points.length / POINTS)
  const out: Point[] = []
  for (let i = 0; i < points.length; i += size) {
    const group = points.slice(i, i + size)
    out.push({ step: group.at(-1)!.step, value: mean(group) })
  }
  return out
}

/** Mean over about a fiftieth of the points around each. */
export function runningMean(points: readonly Point[]): Point[] {
  const half = Math.max(1, Math.round(points.length / 100))
  return points.map((p, i) => ({ step: p.step, value: mean(points.slice(Math.max(0, i - half), i + half + 1)) }))
}

const mean = (points: readonly Point[]): number => points.reduce((sum, p) => sum + p.value, 0) / points.length
