/**
 * The folder of a training run: `checkpoints/`, `log.jsonl`, `loss.svg`, `run.json` (how to go on), and at the end `record.json` and `model.gguf`.
 * One process at a time may train in it.
 */
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { removeStaleTemporaries, writeFileAtomic } from '../lib/atomic-file.ts'
import { VeritError } from '../lib/errors.ts'
import { fileError } from '../lib/file-error.ts'
import { isAlive } from '../lib/process-alive.ts'
import { RUN_CHECKPOINTS, RUN_MODEL, RUN_SETTINGS, checkpointSteps } from '../lib/run-files.ts'
import { lossPlot } from './loss-plot.ts'
import type { LossRow } from './loss-plot.ts'
import type { DataPlace } from './run-data.ts'

/** What continues a run and does not change its result. */
export interface RunSettings extends DataPlace {
  /** Name that the model file carries. */
  readonly name: string
  /** Steps between checkpoints. */
  readonly saveEvery: number
  /** Newest checkpoints to keep, beside the best. */
  readonly keep: number
}

export class RunFolder implements Disposable {
  readonly path: string
  readonly checkpoints: string
  readonly model: string
  readonly record: string
  #log: string
  #lock: string
  #fd: number | undefined

  /** Makes the folder and takes it for this process. */
  constructor(path: string) {
    this.path = path
    this.checkpoints = join(path, RUN_CHECKPOINTS)
    this.model = join(path, RUN_MODEL)
    this.record = join(path, 'record.json')
    this.#log = join(path, 'log.jsonl')
    this.#lock = resolve(path, 'lock')
    try {
      mkdirSync(path, { recursive: true })
      removeStaleTemporaries(path)
    } catch (e) {
      throw fileError(e, path, 'write')
    }
    this.#take()
  }

  /** Steps of the checkpoints, ascending. */
  get steps(): number[] {
    return checkpointSteps(this.checkpoints)
  }

  saveSettings(settings: RunSettings): void {
    writeFileAtomic(join(this.path, RUN_SETTINGS), `${JSON.stringify(settings, null, 2)}\n`)
  }

  /** Begins the log again after `step`: what a run that stopped later had written beyond it is dropped. */
  openLog(step: number): void {
    const kept = existsSync(this.#log) ? readFileSync(this.#log, 'utf8').split('\n').filter(line => stepOf(line) <= step) : []
    writeFileAtomic(this.#log, kept.map(line => `${line}\n`).join(''))
    this.#fd = openSync(this.#log, 'a')
  }

  /** Adds a line to the log. */
  log(entry: Readonly<Record<string, number>> & { step: number }): void {
    try {
      writeSync(this.#fd!, `${JSON.stringify(entry)}\n`)
    } catch (e) {
      throw fileError(e, this.#log, 'write')
    }
  }

  /** Draws `loss.svg` from the log. */
  plot(title: string): void {
    const rows = readFileSync(this.#log, 'utf8').split('\n').filter(line => stepOf(line) < Infinity).map(line => JSON.parse(line) as LossRow)
    const svg = lossPlot(rows, title)
    if (svg !== undefined) writeFileAtomic(join(this.path, 'loss.svg'), svg)
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
    held.delete(this.#lock)
    rmSync(this.#lock, { force: true })
  }

  /** The lock holds the process's number; that of a process that is gone is taken over. */
  #take(): void {
    for (let attempt = 0; ; attempt++) {
      try {
        const fd = openSync(this.#lock, 'wx')
        writeSync(fd, String(process.pid))
        closeSync(fd)
        held.add(this.#lock)
        return
      } catch (e) {
        if ((e as NodeJS.ErrnoException).code !== 'EEXIST') throw fileError(e, this.#lock, 'write')
        const pid = Number(readFileSync(this.#lock, 'utf8'))
        if (attempt > 0 || (pid > 0 && alive(pid, this.#lock))) {
          throw new VeritError('VERIT_RESUME', { run: this.path, problem: `process ${pid} is training in it (if not, remove ${this.#lock})` })
        }
        rmSync(this.#lock, { force: true })
      }
    }
  }
}

/** Locks of this process: a lock with its number that is not among them was left by an earlier process (numbers repeat in containers). */
const held = new Set<string>()

const alive = (pid: number, lock: string): boolean => (pid === process.pid ? held.has(lock) : isAlive(pid))

/** The step of a log line; a line cut short by a crash belongs to no step. */
function stepOf(line: string): number {
  try {
    return (JSON.parse(line) as { step: number }).step
  } catch {
    return Infinity
  }
}

/** Reads how a run was started. */
export function readSettings(path: string): RunSettings {
  const file = join(path, RUN_SETTINGS)
  let value: Partial<Record<keyof RunSettings, unknown>>
  try {
    value = (JSON.parse(readFileSync(file, 'utf8')) ?? {}) as typeof value
  } catch (e) {
    if (e instanceof SyntaxError) throw new VeritError('VERIT_RESUME', { run: path, problem: 'run.json is not JSON' }, e)
    throw fileError(e, file, 'read', 'the settings of the run to resume')
  }
  const { data, nearby, name, saveEvery, keep } = value
  const count = (n: unknown): n is number => Number.isInteger(n) && (n as number) >= 1
  const texts = typeof data === 'string' && typeof name === 'string' && ['string', 'undefined'].includes(typeof nearby)
  if (!texts || !count(saveEvery) || !count(keep)) {
    throw new VeritError('VERIT_RESUME', { run: path, problem: 'run.json is incomplete' })
  }
  return { data, ...(typeof nearby === 'string' && { nearby }), name, saveEvery, keep }
}
