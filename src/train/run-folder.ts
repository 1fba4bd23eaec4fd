/**
 * The folder of a training run: `checkpoints/`, `log.jsonl`, `loss.svg`, `run.json` (how to go on), and at the end
 * `record.json` and `model.gguf`. One process at a time may train in it.
 */
import { closeSync, existsSync, openSync, readFileSync, rmSync, rmdirSync, writeSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { removeStaleTemporaries, writeFileAtomic } from '../lib/atomic-file.ts'
import { VeritError } from '../lib/errors.ts'
import { fileError } from '../lib/file-error.ts'
import { makeFolder } from '../lib/make-folder.ts'
import { isAlive } from '../lib/process-alive.ts'
import { RUN_CHECKPOINTS, RUN_MODEL, RUN_SETTINGS, checkpointSteps } from '../lib/run-files.ts'
import { lossPlot } from './loss-plot.ts'
import { OWN_DATA } from './run-data.ts'
import { parseLine, parseLog } from './run-log.ts'
import type { RunSettings } from './run-settings.ts'

export const RUN_LOG = 'log.jsonl'

/** The folder of a training run: settings, checkpoints, log and plot. One process at a time locks it. */
export class RunFolder implements Disposable {
  readonly path: string
  readonly checkpoints: string
  readonly model: string
  readonly record: string
  #log: string
  #lock: string
  #fd: number | undefined
  /** The uppermost folder that was made for the run; undefined where its folder was there. */
  #made: string | undefined
  /** Whether the run had its own dataset before. */
  #hadData: boolean

  /** Makes the folder and takes it for this process. Where no run begins in it, it is removed when this is disposed. */
  constructor(path: string) {
    this.path = path
    this.checkpoints = join(path, RUN_CHECKPOINTS)
    this.model = join(path, RUN_MODEL)
    this.record = join(path, 'record.json')
    this.#log = join(path, RUN_LOG)
    this.#lock = resolve(path, 'lock')
    this.#hadData = existsSync(join(path, OWN_DATA))
    try {
      this.#made = makeFolder(path)
      removeStaleTemporaries(path)
    } catch (e) {
      throw fileError(e, path, 'write')
    }
    try {
      this.#take()
    } catch (e) {
      this.#undo()
      throw e
    }
  }

  /** Whether a run was begun here. */
  get hasBegun(): boolean {
    return existsSync(join(this.path, RUN_SETTINGS)) || this.steps.length > 0
  }

  /** Steps of the checkpoints, ascending. */
  get steps(): number[] {
    return checkpointSteps(this.checkpoints)
  }

  /** Writes run.json: dataset, model and options. */
  saveSettings(settings: RunSettings): void {
    writeFileAtomic(join(this.path, RUN_SETTINGS), `${JSON.stringify(settings, null, 2)}\n`)
  }

  /** Truncates the log after `step`: later lines of a stopped run are dropped. */
  openLog(step: number): void {
    const lines = existsSync(this.#log) ? readFileSync(this.#log, 'utf8').split('\n') : []
    const kept = lines.filter(line => (parseLine(line)?.step ?? Infinity) <= step)
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
    const svg = lossPlot(parseLog(readFileSync(this.#log, 'utf8')), title)
    if (svg !== undefined) writeFileAtomic(join(this.path, 'loss.svg'), svg)
  }

  /** Closes the log and unlocks the folder. */
  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
    held.delete(this.#lock)
    rmSync(this.#lock, { force: true })
    this.#undo()
  }

  /** Removes the dataset of a run that did not begin, then empty folders. */
  #undo(): void {
    if (this.hasBegun) return
    if (!this.#hadData) rmSync(join(this.path, OWN_DATA), { recursive: true, force: true })
    const last = this.#made?.length ?? Infinity
    try {
      for (let folder = resolve(this.path); folder.length >= last; folder = dirname(folder)) rmdirSync(folder)
    } catch {
      // Someone placed other files there meanwhile: they stay.
    }
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
          throw new VeritError('VERIT_RESUME', {
            run: this.path,
            problem: `process ${pid} is training in it (if not, remove ${this.#lock})`
          })
        }
        rmSync(this.#lock, { force: true })
      }
    }
  }
}

/**
 * Locks of this process: a lock with its number that is not among them was left by an earlier process (numbers repeat
 * in containers).
 */
const held = new Set<string>()

const alive = (pid: number, lock: string): boolean => (pid === process.pid ? held.has(lock) : isAlive(pid))
