/**
 * A model that stays available: one runner process at a time, restarted with growing pauses when it dies. The file is
 * opened once; before each start it is hashed on that descriptor, and the process inherits the same descriptor, so the
 * checked bytes are the parsed bytes.
 */
import { defined } from '../lib/defined.ts'
import { VeritError } from '../lib/errors.ts'
import type { RegularFile } from '../lib/regular-file.ts'
import { openTrusted } from '../lib/trusted-file.ts'
import { checkPulled, digestDescriptor } from '../trust/digest.ts'
import type { Digest } from '../trust/digest.ts'
import type { CallEvent, Figures, ModelInfo, Prompt, Sampling } from './messages.ts'
import { LATE_MS, RunnerProcess } from './runner-process.ts'
import type { CallOptions, RunnerOptions } from './runner-process.ts'

const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 30_000
/** A process that lived this long starts the pauses anew. */
const HEALTHY_MS = 60_000

export interface ModelRunnerOptions extends Omit<RunnerOptions, 'fd' | 'name' | 'onLog'> {
  /** Told of starts, deaths and log lines of the process. */
  onEvent?: (event: RunnerEvent) => void
  /** Expected digest of the file, for a pulled model. */
  expectedDigest?: Digest | undefined
  /** Called with the digest before a process starts; a throw ends the start. */
  onDigest?: (digest: Digest) => void
  /** Bytes hashed so far and in all. */
  onDigestProgress?: (done: number, total: number) => void
}

export type RunnerEvent =
  | { type: 'ready'; pid: number | undefined; info: ModelInfo }
  | { type: 'died'; how: string; restartInMs: number }
  | { type: 'failed'; error: unknown; restartInMs: number }
  | { type: 'log'; line: string }

export class ModelRunner {
  #file: RegularFile
  #digest: Digest | undefined
  #options: ModelRunnerOptions
  /** The newest process, loading, ready or dead. */
  #process: RunnerProcess | undefined
  #available = false
  #info: ModelInfo | undefined
  #ready = Promise.withResolvers<void>()
  #pause = FIRST_PAUSE_MS
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  private constructor(file: RegularFile, options: ModelRunnerOptions) {
    this.#file = file
    this.#options = options
    this.#ready.promise.catch(() => undefined)
  }

  /**
   * Opens the file, hashes it while its process starts, and has the process load it. Resolves when the model is loaded.
   * @throws VeritError when it cannot be
   */
  static async start(path: string, options: ModelRunnerOptions = {}): Promise<ModelRunner> {
    const file = openTrusted(path, { kind: 'decides', purpose: 'the model to serve' })
    let runner: ModelRunner | undefined
    try {
      runner = new ModelRunner(file, options)
      await runner.#launch()
      return runner
    } catch (e) {
      await runner?.close()
      file.close()
      throw e
    }
  }

  /** SHA-256 of the file, taken on the descriptor that the process reads. */
  get digest(): Digest {
    return this.#digest!
  }

  /** The latest statements of the process about its model. */
  get info(): ModelInfo {
    return this.#info!
  }

  /** Whether a process is ready for calls now. */
  get available(): boolean {
    return this.#available
  }

  /**
   * Milliseconds that the oldest ping to the runner has waited for its answer; 0 when none waits, or no process runs.
   */
  get lateMs(): number {
    return this.#available ? (this.#process?.lateMs ?? 0) : 0
  }

  /** Whether a process is ready and answers pings within 3 s; otherwise `/health` says "unavailable". */
  get answering(): boolean {
    return this.#available && this.lateMs < LATE_MS
  }

  /** Process id, for an operator; undefined if there is none. */
  get pid(): number | undefined {
    return this.#available ? this.#process?.pid : undefined
  }

  /**
   * Runs one call. If the process dies before the first event, the call is sent once more to the next process; after
   * that, or after an event, its death ends the call with VERIT_RUNNER_DIED. Waits for a running restart; if that
   * fails, the call ends with VERIT_UNAVAILABLE.
   * @throws VeritError VERIT_BODY_TOO_LARGE for a prompt that is too long for a frame
   */
  async *generate(
    prompt: Prompt,
    sampling: Sampling & { maxTokens: number },
    signal?: AbortSignal,
    options?: CallOptions
  ): AsyncGenerator<CallEvent> {
    for (let attempt = 0; ; attempt++) {
      const process = await this.#next(signal)
      if (process === undefined) return
      let begun = false
      try {
        for await (const event of process.generate(prompt, sampling, signal, options)) {
          begun = true
          yield event
        }
        return
      } catch (e) {
        if (begun || attempt > 0 || this.#stopped || !VeritError.is(e, 'VERIT_RUNNER_DIED')) throw e
      }
    }
  }

  /** Figures of the KV cache, and draft tokens since the start; undefined if no process answers. */
  async figures(): Promise<Figures | undefined> {
    return this.#available ? this.#process?.figures() : undefined
  }

  async close(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#ready.reject(new VeritError('VERIT_STOPPING', { what: 'the runner has ended' }))
    await this.#process?.close()
    this.#file.close()
  }

  /** The process that is ready now or next; undefined when the signal comes first. */
  async #next(signal?: AbortSignal): Promise<RunnerProcess | undefined> {
    const aborted = new Promise<void>(resolve => {
      if (signal?.aborted === true) resolve()
      else signal?.addEventListener('abort', () => resolve(), { once: true })
    })
    while (signal?.aborted !== true) {
      if (this.#available && this.#process?.alive === true) return this.#process
      if (this.#available) await this.#process?.exited // dead, and its watcher has not run yet
      else await Promise.race([this.#ready.promise, aborted])
    }
    return undefined
  }

  /** Starts a process, hashes the file meanwhile, and sends the order to load once the digest is accepted. */
  async #launch(): Promise<void> {
    const { onEvent = () => undefined, onDigestProgress: _, expectedDigest: __, onDigest: ___, ...rest } = this.#options
    const process = new RunnerProcess({
      ...rest,
      fd: this.#file.fd,
      name: this.#file.name,
      onLog: line => onEvent({ type: 'log', line })
    })
    this.#process = process
    try {
      await this.#checkDigest()
      this.#info = await process.load(this.#digest)
      this.#file.checkUnchanged()
    } catch (e) {
      await process.close()
      throw e
    }
    const born = performance.now()
    this.#available = true
    onEvent({ type: 'ready', pid: process.pid, info: this.#info })
    this.#ready.resolve()
    void process.exited.then(how => {
      this.#available = false
      if (this.#stopped) return
      this.#renewReady()
      if (performance.now() - born > HEALTHY_MS) this.#pause = FIRST_PAUSE_MS
      onEvent({ type: 'died', how, restartInMs: this.#schedule() })
    })
  }

  /** The caller accepts the first digest; later ones must be equal. */
  async #checkDigest(): Promise<void> {
    const { fd, name } = this.#file
    const { onDigestProgress, expectedDigest, onDigest } = this.#options
    if (this.#digest === undefined) {
      const digest = await digestDescriptor(fd, name, defined({ onProgress: onDigestProgress }))
      if (expectedDigest !== undefined) checkPulled(name, digest, expectedDigest)
      onDigest?.(digest)
      this.#digest = digest
    } else if ((await digestDescriptor(fd, name)) !== this.#digest) {
      throw new VeritError('VERIT_FILE_IO', {
        path: name,
        action: 'read',
        reason: 'its content is no longer what it was at the start'
      })
    }
  }

  #renewReady(): void {
    this.#ready = Promise.withResolvers<void>()
    this.#ready.promise.catch(() => undefined)
  }

  #schedule(): number {
    const pause = this.#pause
    this.#pause = Math.min(2 * pause, LONGEST_PAUSE_MS)
    this.#timer = setTimeout(() => void this.#relaunch(), pause)
    return pause
  }

  async #relaunch(): Promise<void> {
    try {
      await this.#launch()
    } catch (error) {
      if (this.#stopped) return
      // whoever waits should not wait for further attempts
      this.#ready.reject(new VeritError('VERIT_UNAVAILABLE', { what: 'runner' }))
      this.#renewReady()
      this.#options.onEvent?.({ type: 'failed', error, restartInMs: this.#schedule() })
    }
  }
}
