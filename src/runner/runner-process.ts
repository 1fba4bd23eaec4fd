/**
 * One runner, seen from the gateway: started with a fresh environment and two descriptors (socket, model file),
 * watched, and killed at the first message that is not as agreed. It is not started again here; `ModelRunner` does
 * that.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { defined } from '../lib/defined.ts'
import { VeritError } from '../lib/errors.ts'
import { NO_DEBUGGER } from '../lib/process-protections.ts'
import type { Digest } from '../trust/digest.ts'
import { Call } from './call.ts'
import { errorOf } from './failure.ts'
import { FROM_RUNNER_LIMIT, FrameDecoder, LOAD_LIMIT, encodeFrame, toRunnerLimit } from './frames.ts'
import { loadSettingsIn } from './load-settings.ts'
import type { LoadSettings } from './load-settings.ts'
import { checkFromRunner, checkToRunner } from './messages.ts'
import type { CallEvent, Figures, FromRunner, ModelInfo, Prompt, Sampling, Sandbox, ToRunner } from './messages.ts'
import { readLog } from './read-log.ts'
import { requireLock } from './sandbox-words.ts'

/** Environment variables that a runner may see: compute settings only. */
const PASSED = ['VERIT_THREADS', 'VERIT_ISA', 'VERIT_PACKING', 'VERIT_CORES', 'VERIT_EXECUTOR']
const FIRST = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './first.ts' : './first.js', import.meta.url))
/**
 * JavaScript there cannot write files, start processes or threads, or be debugged. Native code is not bound by it, but
 * by the lock (sandbox.ts). It makes little garbage for each token: new objects have room in 2 MiB, where V8 would let
 * them have 16.
 */
const NODE_FLAGS = [
  '--permission',
  '--allow-fs-read=*',
  '--allow-addons',
  '--disable-warning=PERM0001',
  '--disable-warning=SecurityWarning',
  '--disable-proto=delete',
  NO_DEBUGGER,
  '--max-semi-space-size=2'
]
/**
 * A ping is sent this long after the answer to the last one; one that waits longer than LATE_MS means that calls wait,
 * too.
 */
const PING_MS = 1000
export const LATE_MS = 3000
/** Timeout of a request for metrics. */
const FIGURES_MS = 1000

export interface RunnerOptions extends LoadSettings {
  /** Open descriptor of the model file. The caller keeps it; the process inherits a copy. */
  fd: number
  /** Name of the file in errors. */
  name: string
  /** Chat template to use instead of the file's, with the name of its file. */
  chatTemplate?: { readonly text: string; readonly source: string }
  /** Additional tokens that end an answer. */
  endTokens?: readonly string[]
  /**
   * Largest request body in bytes, from which the limit of messages to the process follows: 1 KiB to 64 MiB. Default 1
   * MiB.
   */
  bodyBytes?: number
  /** Whether it is an error that the process cannot be locked (docs/internals/sandbox.md). Default false. */
  requireSandbox?: boolean
  /**
   * Milliseconds until a process that does not answer a ping, a load (ten times that) or a cancellation is killed.
   * Default 120,000.
   */
  hangMs?: number
  /** Another program in place of the runner: for tests of hostile ones. */
  script?: string
  /**
   * Takes a line that the process wrote to its standard error, escaped and cut to 1,000 characters; after 200 lines no
   * more are passed on.
   */
  onLog?: (line: string) => void
}

export interface CallOptions {
  /** Whose earlier prompts may save work for this one. Default: nobody's. */
  tenant?: string | undefined
  /** Reserved tokens of prompt and answer: the call never has more, whatever the process says. Default: no limit. */
  mostTokens?: number | undefined
}

const environment = (): Record<string, string> =>
  Object.fromEntries(PASSED.flatMap(name => (process.env[name] === undefined ? [] : [[name, process.env[name]]])))

/** The one that waits for its answer. */
interface Ping {
  readonly id: number
  readonly since: number
  readonly pong: PromiseWithResolvers<Figures | undefined>
}

export class RunnerProcess {
  /** Resolves when the model is loaded; rejects with the error of the table that prevented it. */
  readonly ready: Promise<ModelInfo>
  /** Resolves with how the process ended, for example "signal SIGKILL". */
  readonly exited: Promise<string>
  #options: RunnerOptions
  #child: ChildProcess
  #socket: Duplex
  #calls = new Map<number, Call>()
  #lastId = 0
  #frameBytes: number
  #ping: Ping | undefined
  #hangMs: number
  #loadBy = Infinity
  #whenReady = Promise.withResolvers<ModelInfo>()
  #state: 'starting' | 'loading' | 'ready' | 'dead' = 'starting'
  /** The locks of the process, reported once, before it reads the model. */
  #sandbox: Sandbox | undefined
  #verdict: string | undefined

  constructor(options: RunnerOptions) {
    this.#hangMs = options.hangMs ?? 120_000
    this.#frameBytes = toRunnerLimit(options.bodyBytes ?? 1 << 20)
    this.ready = this.#whenReady.promise
    this.ready.catch(() => undefined)
    this.#child = spawn(
      process.execPath,
      [...NODE_FLAGS, FIRST, ...(options.script === undefined ? [] : [options.script])],
      {
        env: environment(),
        stdio: ['ignore', 'ignore', 'pipe', 'pipe', options.fd],
        windowsHide: true
      }
    )
    this.#socket = this.#child.stdio[3] as Duplex
    this.exited = this.#watchExit()
    readLog(this.#child.stderr!, options.onLog ?? (() => undefined))
    this.#readFrames()
    this.#options = options
    this.#watchHangs()
  }

  /**
   * Has the process lock itself and load the model. Before, it only starts. Resolves and rejects as `ready`. Call once.
   * @param digest of the file, so that the process need not take it again
   */
  load(digest?: Digest): Promise<ModelInfo> {
    const { name, chatTemplate, endTokens, requireSandbox } = this.#options
    if (this.#state === 'starting') this.#state = 'loading'
    this.#loadBy = performance.now() + 10 * this.#hangMs
    const options = defined({ chatTemplate, endTokens: endTokens && [...endTokens], digest, requireSandbox })
    this.#send({ type: 'load', name, frameBytes: this.#frameBytes, ...loadSettingsIn(this.#options), ...options })
    return this.ready
  }

  get alive(): boolean {
    return this.#state !== 'dead'
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Milliseconds that the oldest unanswered ping has waited; 0 when none waits. */
  get lateMs(): number {
    return this.#ping === undefined ? 0 : performance.now() - this.#ping.since
  }

  /**
   * Runs one call. Ending the iteration, or the signal, cancels it; the iteration then ends only once the process has
   * let go of it.
   * @throws VeritError VERIT_BODY_TOO_LARGE for a prompt that no frame takes: the process hears nothing of it
   */
  async *generate(
    prompt: Prompt,
    sampling: Sampling & { maxTokens: number },
    signal?: AbortSignal,
    { tenant, mostTokens }: CallOptions = {}
  ): AsyncGenerator<CallEvent> {
    if (this.#state === 'dead') throw this.#death()
    if (signal?.aborted === true) return
    const id = ++this.#lastId
    const frame = this.#callFrame({ type: 'generate', id, prompt, sampling, ...defined({ tenant }) })
    const call = new Call({ ...sampling, mostTokens }, tokens => this.#send({ type: 'more', id, tokens }))
    let cancelled = false
    const cancel = (): void => {
      if (!cancelled) this.#cancel(id, call)
      cancelled = true
    }
    this.#calls.set(id, call)
    this.#write(frame)
    try {
      signal?.addEventListener('abort', cancel, { once: true })
      yield* call
    } finally {
      signal?.removeEventListener('abort', cancel)
      cancel()
      await call.ended
      this.#calls.delete(id)
    }
  }

  /** Made before the call is: one that the process could not take must never leave anything that waits for its end. */
  #callFrame(message: ToRunner): Buffer {
    checkToRunner(message)
    try {
      return encodeFrame(message, this.#frameBytes)
    } catch (e) {
      throw new VeritError('VERIT_BODY_TOO_LARGE', { limit: this.#options.bodyBytes ?? 1 << 20 }, e)
    }
  }

  /** Figures of the KV cache and draft tokens; undefined if the process does not answer within a second. */
  async figures(): Promise<Figures | undefined> {
    if (this.#state !== 'ready') return undefined
    const { pong } = this.#ping ?? this.#sendPing()
    const late = Promise.withResolvers<undefined>()
    const timer = setTimeout(() => late.resolve(undefined), FIGURES_MS)
    try {
      return await Promise.race([pong.promise, late.promise])
    } finally {
      clearTimeout(timer)
    }
  }

  /** Ends the process: first by request, after `graceMs` (default 2,000) by force. Running calls fail. */
  async close(graceMs = 2000): Promise<void> {
    this.#verdict ??= 'it was stopped'
    this.#send({ type: 'close' })
    const timer = setTimeout(() => this.kill('it did not stop when asked'), graceMs)
    await this.exited
    clearTimeout(timer)
  }

  /** Ends the process at once. `why` appears in the errors of its calls. */
  kill(why: string): void {
    this.#verdict ??= why
    this.#child.kill('SIGKILL')
  }

  #cancel(id: number, call: Call): void {
    if (call.over) return
    call.discard()
    this.#send({ type: 'cancel', id })
    const timer = setTimeout(() => this.kill('it did not end a cancelled request'), this.#hangMs)
    void call.ended.then(() => clearTimeout(timer))
  }

  #send(message: ToRunner): void {
    this.#write(encodeFrame(message, LOAD_LIMIT))
  }

  #write(frame: Buffer): void {
    if (this.#state !== 'dead' && this.#socket.writable) this.#socket.write(frame)
  }

  #readFrames(): void {
    const frames = new FrameDecoder(FROM_RUNNER_LIMIT)
    this.#socket.on('data', (chunk: Buffer) => {
      if (this.#state === 'dead') return
      try {
        for (const value of frames.push(chunk)) this.#receive(checkFromRunner(value))
      } catch (e) {
        this.#socket.removeAllListeners('data').resume()
        this.kill(VeritError.is(e) ? e.what : 'its message could not be handled')
      }
    })
    this.#socket.on('error', () => this.kill('its connection broke'))
    this.#socket.on('end', () => this.kill('it closed its connection'))
  }

  #receive(message: FromRunner): void {
    if (message.type === 'locked') return this.#acceptLock(message.sandbox)
    if (message.type === 'ready' || message.type === 'failed') {
      if (this.#state !== 'loading')
        throw new VeritError('VERIT_RUNNER_FRAME', {
          problem: this.#state === 'starting' ? 'it loaded unasked' : 'it loaded twice'
        })
      if (message.type === 'failed') return this.#whenReady.reject(errorOf(message))
      if (this.#sandbox === undefined)
        throw new VeritError('VERIT_RUNNER_FRAME', { problem: 'it did not say what it has locked' })
      this.#state = 'ready'
      return this.#whenReady.resolve({ ...message.info, sandbox: this.#sandbox })
    }
    if (message.type === 'pong') {
      if (this.#ping?.id !== message.id)
        throw new VeritError('VERIT_RUNNER_FRAME', { problem: 'an answer to a ping that was not sent' })
      this.#ping.pong.resolve(message.figures)
      this.#ping = undefined
      return
    }
    const call = this.#calls.get(message.id)
    if (call === undefined || call.over)
      throw new VeritError('VERIT_RUNNER_FRAME', { problem: 'an event of a call that is not open' })
    if (message.type === 'error') call.fail(errorOf(message))
    else call.accept(message)
  }

  /** Ends a process that is not locked as required, even if it does not refuse by itself. */
  #acceptLock(sandbox: Sandbox): void {
    if (this.#state !== 'loading' || this.#sandbox !== undefined)
      throw new VeritError('VERIT_RUNNER_FRAME', { problem: 'it reported its sandbox without being asked' })
    this.#sandbox = sandbox
    if (this.#options.requireSandbox !== true) return
    try {
      requireLock(sandbox)
    } catch (e) {
      this.#whenReady.reject(e)
      this.kill('it could not be locked')
    }
  }

  #sendPing(): Ping {
    const ping: Ping = { id: ++this.#lastId, since: performance.now(), pong: Promise.withResolvers() }
    this.#ping = ping
    this.#send({ type: 'ping', id: ping.id })
    return ping
  }

  #watchHangs(): void {
    const timer = setInterval(() => {
      const now = performance.now()
      if (this.#state === 'starting' || this.#state === 'loading') {
        if (now > this.#loadBy) this.kill('it took too long to load the model')
      } else if (this.#ping === undefined) {
        this.#sendPing()
      } else if (now - this.#ping.since > this.#hangMs) this.kill('it no longer answered')
    }, PING_MS)
    timer.unref()
    void this.exited.then(() => clearInterval(timer))
  }

  #watchExit(): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>()
    const gone = (how: string): void => {
      if (this.#state === 'dead') return
      this.#state = 'dead'
      this.#verdict = this.#verdict === undefined ? how : `${this.#verdict}; ${how}`
      this.#socket.destroy()
      this.#whenReady.reject(this.#death())
      this.#ping?.pong.resolve(undefined)
      for (const call of this.#calls.values()) call.fail(this.#death())
      resolve(this.#verdict)
    }
    this.#child.once('exit', (status, signal) => gone(signal === null ? `exit status ${status}` : `signal ${signal}`))
    this.#child.once('error', e => gone(`it could not be started: ${e.message}`))
    return promise
  }

  #death(): VeritError {
    return new VeritError('VERIT_RUNNER_DIED', { how: this.#verdict ?? 'it ended' })
  }
}
