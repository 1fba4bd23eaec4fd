/**
 * A second process that keeps one core busy, for `verit bench --under-load`. It starts before the bench enters its
 * sandbox, and ends when its input closes, so also when the bench dies.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { VeritError } from '../lib/errors.ts'

/** Each byte turns counting on or off, and is answered when it does. */
const PROGRAM = `
let busy = false, n = 0
const work = () => {
  for (let i = 0; i < 1e7; i++) n = (n * 1664525 + 1013904223) | 0
  if (busy) setImmediate(work)
}
process.stdin.on('data', () => {
  busy = !busy
  if (busy) setImmediate(work)
  process.stdout.write('.')
}).on('end', () => process.exit())
process.stdout.write('.')`

export class BusyProcess implements AsyncDisposable {
  #child: ChildProcess
  #ended: Promise<unknown>

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#ended = once(child, 'exit')
  }

  /** Resolves when the process is there, and idle. */
  static async start(): Promise<BusyProcess> {
    const child = spawn(process.execPath, ['-e', PROGRAM], { stdio: ['pipe', 'pipe', 'ignore'], env: {} })
    const busy = new BusyProcess(child)
    await busy.#answer()
    return busy
  }

  /** Resolves when it computes; disposing of the result resolves when it is idle again. */
  async keepBusy(): Promise<AsyncDisposable> {
    await this.#toggle()
    return { [Symbol.asyncDispose]: () => this.#toggle() }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin!.end()
    await this.#ended
  }

  async #toggle(): Promise<void> {
    this.#child.stdin!.write('.')
    await this.#answer()
  }

  async #answer(): Promise<void> {
    const answered = once(this.#child.stdout!, 'data').then(() => true)
    const there = await Promise.race([answered, this.#ended.then(() => false)])
    if (!there) throw new VeritError('VERIT_INTERNAL', { problem: 'the busy process has ended' })
  }
}
