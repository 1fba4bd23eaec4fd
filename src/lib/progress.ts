/**
 * Progress of anything that may take more than two seconds, on standard error: one redrawn line on a terminal, a plain
 * line every few seconds otherwise. Nothing is printed before 0.5 s, so short work stays silent.
 */

/** 3,661 s -> "1 h 01 min"; 75 -> "1 min 15 s"; 4.2 -> "4 s". */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?'
  const s = Math.max(0, Math.round(seconds))
  if (s < 60) return `${s} s`
  const two = (n: number): string => String(n).padStart(2, '0')
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`
  return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} min`
}

/** 1,234,567 -> "1.2 MB" (powers of 1000). */
export function formatBytes(n: number): string {
  for (const [unit, size] of [
    ['GB', 1e9],
    ['MB', 1e6],
    ['kB', 1e3]
  ] as const)
    if (n >= size) return `${(n / size).toFixed(1)} ${unit}`
  return `${n} B`
}

/** A stream that progress is written to; a terminal gets one line that is updated. */
export interface ProgressStream {
  /** Writes text, as a stream of Node does. */
  write(text: string): unknown
  isTTY?: boolean
  /** Width of the terminal. */
  columns?: number
}

export interface ProgressOptions {
  /** Word at the start of the line, for example "tokenize". */
  label: string
  /** Units of work in all; omit when unknown. */
  total?: number
  /** Units done by an earlier process: they count as done, but not for the speed. Default 0. */
  from?: number
  /** Writes the amount, for example formatBytes. Default: thousands separated by commas. */
  format?: (n: number) => string
  /** Where to write. Default process.stderr. */
  stream?: ProgressStream
}

export class Progress {
  #o: ProgressOptions
  #stream: NonNullable<ProgressOptions['stream']>
  #start = performance.now()
  #drawn = 0
  #open = false

  constructor(options: ProgressOptions) {
    this.#o = options
    this.#stream = options.stream ?? process.stderr
  }

  /** Seconds since the start. */
  get seconds(): number {
    return (performance.now() - this.#start) / 1000
  }

  /** A terminal without a size reports 0. */
  get #columns(): number {
    return this.#stream.columns || 120
  }

  /**
   * Reports `done` units; `note` is appended, for example "loss 1.92  21,300 tokens/s". Time left is added when a total
   * is known.
   */
  update(done: number, note = ''): void {
    const now = performance.now()
    const tty = this.#stream.isTTY === true
    if (now - this.#start < 500 || now - this.#drawn < (tty ? 100 : 5000)) return
    this.#drawn = now
    this.#draw(done, note, tty)
  }

  #draw(done: number, note: string, tty: boolean): void {
    const format = this.#o.format ?? ((n: number) => Math.round(n).toLocaleString('en-US'))
    const total = this.#o.total
    let line = this.#o.label
    if (total !== undefined && total > 0) {
      const { from = 0 } = this.#o
      const share = Math.min(1, done / total)
      const left = done > from ? (this.seconds * Math.max(0, total - done)) / (done - from) : Infinity
      const rest =
        `${format(done)}/${format(total)} ${Math.floor(share * 100)} %${note ? `  ${note}` : ''}  ` +
        `${formatDuration(left)} left`
      // the bar gives way to the words on a narrow terminal
      const width = tty ? Math.max(0, Math.min(20, this.#columns - 3 - line.length - rest.length)) : 20
      const filled = Math.round(share * width)
      line += ` ${'█'.repeat(filled)}${'░'.repeat(width - filled)}${width > 0 ? ' ' : ''}${rest}`
    } else line += ` ${format(done)}${note ? `  ${note}` : ''}  ${formatDuration(this.seconds)}`
    if (tty) {
      this.#open = true
      this.#stream.write(`\r\x1b[2K${line.slice(0, this.#columns - 1)}`)
    } else this.#stream.write(`${line}\n`)
  }

  /** Prints a separate line above the bar. */
  line(text: string): void {
    this.clear()
    this.#stream.write(`${text}\n`)
  }

  /** Removes the bar. */
  clear(): void {
    if (this.#open) this.#stream.write('\r\x1b[2K')
    this.#open = false
  }

  /** Removes the bar and prints a closing line. */
  done(text?: string): void {
    this.clear()
    if (text !== undefined) this.#stream.write(`${text}\n`)
  }
}
