/**
 * Writes log lines to standard error, which may fail or fill up: a reader that has gone (EPIPE), one that does not
 * read (EAGAIN), a full disk (ENOSPC), a terminal that has gone (EIO). It never blocks, never throws, and keeps at
 * most 1 MiB of lines that wait. Lines beyond that are lost and counted; the count is reported once writing works.
 */
import { constants, openSync, writeSync } from 'node:fs'
import { isatty } from 'node:tty'

/** Bytes that wait to be written. More are lost. */
const MOST_WAITING = 1 << 20
/** Until the next attempt, in ms: where the reader is slow, and where writing failed. */
const SOON_MS = 50
const LATER_MS = 1000
/** At the end of the process, in ms. */
const LAST_WORDS_MS = 250

const STANDARD_ERROR = 2

/** Makes the line that reports lost lines. `reason` is the code of the system's last error, such as EPIPE. */
export type LossReport = (lost: number, reason: string) => string

let lostByAll = 0

/** Log lines of this process that could not be written so far. */
export const lostLogLines = (): number => lostByAll

export class LogOutput {
  readonly isTTY = isatty(STANDARD_ERROR)
  #fd = withoutBlocking(this.isTTY)
  #report: LossReport
  #waiting: Buffer[] = []
  #bytes = 0
  #lost = 0
  #reason = ''
  #waits = false
  /** No attempt before this moment (performance.now). */
  #notBefore = -Infinity

  constructor(report: LossReport) {
    this.#report = report
    process.on('exit', () => this.#lastWords())
  }

  /** Takes one or more whole lines. */
  write(text: string): void {
    const bytes = Buffer.from(text)
    if (this.#bytes > 0 && this.#bytes + bytes.length > MOST_WAITING) return this.#lose()
    this.#waiting.push(bytes)
    this.#bytes += bytes.length
    this.#flush()
  }

  #lose(): void {
    this.#lost++
    lostByAll++
  }

  #flush(): void {
    if (performance.now() < this.#notBefore) return
    while (this.#bytes > 0 && this.#writeSome()) {
      if (this.#bytes > 0 || this.#lost === 0) continue
      const line = Buffer.from(this.#report(this.#lost, this.#reason))
      this.#lost = 0
      this.#waiting.push(line)
      this.#bytes += line.length
    }
  }

  /** Writes as much of the first buffer as possible. False if nothing can be written now. */
  #writeSome(): boolean {
    const [first] = this.#waiting
    try {
      const done = writeSync(this.#fd, first!)
      this.#bytes -= done
      if (done === first!.length) this.#waiting.shift()
      else this.#waiting[0] = first!.subarray(done)
      return true
    } catch (e) {
      const { code = 'EIO' } = e as NodeJS.ErrnoException
      this.#reason = code
      this.#tryAgain(code === 'EAGAIN' ? SOON_MS : LATER_MS)
      return false
    }
  }

  #tryAgain(ms: number): void {
    this.#notBefore = performance.now() + ms
    if (this.#waits) return
    this.#waits = true
    setTimeout(() => {
      this.#waits = false
      this.#notBefore = -Infinity
      this.#flush()
    }, ms).unref()
  }

  #lastWords(): void {
    const end = performance.now() + LAST_WORDS_MS
    const sleeper = new Int32Array(new SharedArrayBuffer(4))
    do {
      this.#notBefore = -Infinity
      this.#flush()
      if (this.#bytes === 0 || this.#reason !== 'EAGAIN') return
      Atomics.wait(sleeper, 0, 0, 5)
    } while (performance.now() < end)
  }
}

/**
 * A descriptor whose writes return at once. Node sets pipes and sockets to that mode when it opens its stream. A
 * stopped terminal (Ctrl-S) blocks its writers, so it is opened a second time: the flag then does not affect other
 * programs.
 */
function withoutBlocking(terminal: boolean): number {
  void process.stderr
  if (!terminal || process.platform !== 'linux') return STANDARD_ERROR
  try {
    return openSync(`/proc/self/fd/${STANDARD_ERROR}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch {
    return STANDARD_ERROR
  }
}
