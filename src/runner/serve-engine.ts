/**
 * The runner's side of the protocol: locks itself, reports its locks, loads the model on request, answers concurrent
 * calls, and stops at the first invalid message.
 */
import type { Socket } from 'node:net'
import type { ConversationInfo, Engine, GenerateEvent, GenerateRequest } from '../engine/engine.ts'
import { VeritError } from '../lib/errors.ts'
import { failureOf } from './failure.ts'
import { FROM_RUNNER_LIMIT, FrameDecoder, LOAD_LIMIT, encodeFrame, toRunnerLimit } from './frames.ts'
import { UNREAD, checkToRunner } from './messages.ts'
import type { Figures, FromRunner, LoadedConversation, Prompt, Sandbox, ToRunner } from './messages.ts'
import { requireLock } from './sandbox-words.ts'
import { TextBudget } from './text-limits.ts'

type Load = Extract<ToRunner, { type: 'load' }>
/** The locks of the process, and how it continues: it reads nothing of the model before `load`. */
export interface Locked {
  sandbox: Sandbox
  load: () => Promise<Engine>
}

type Generate = Extract<ToRunner, { type: 'generate' }>

/** Serves until the socket ends, `close` is received or a frame is bad. `lock` is called once. */
export async function serveEngine(socket: Socket, lock: (message: Load) => Locked): Promise<void> {
  await new Session(socket, lock).run()
}

/** A running call: how to end it, and how many more tokens its reader accepts. */
class OpenCall {
  readonly #abort = new AbortController()
  #room = UNREAD
  #wake: (() => void) | undefined

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  abort(): void {
    this.#abort.abort()
    this.#wake?.()
  }

  /** The reader has taken some. */
  more(tokens: number): void {
    this.#room += tokens
    this.#wake?.()
  }

  /** Waits until the reader accepts a token; an aborted call need not wait. */
  async place(): Promise<void> {
    while (this.#room === 0 && !this.signal.aborted) await new Promise<void>(resolve => void (this.#wake = resolve))
    this.#room--
  }
}

class Session {
  #socket: Socket
  #lock: (message: Load) => Locked
  #told = false
  #engine: Engine | undefined
  #calls = new Map<number, OpenCall>()
  #frames = new FrameDecoder(LOAD_LIMIT)

  constructor(socket: Socket, lock: (message: Load) => Locked) {
    this.#socket = socket
    this.#lock = lock
    socket.on('error', () => socket.destroy())
  }

  async run(): Promise<void> {
    const frames = this.#frames
    try {
      for await (const chunk of this.#socket) {
        for (const value of frames.push(chunk as Buffer)) {
          const message = checkToRunner(value)
          if (message.type === 'close') return
          this.#handle(message)
        }
      }
    } finally {
      for (const call of this.#calls.values()) call.abort()
      this.#socket.destroy()
      await this.#engine?.close()
    }
  }

  #handle(message: Exclude<ToRunner, { type: 'close' }>): void {
    if (message.type === 'load') void this.#start(message)
    else if (message.type === 'generate') void this.#generate(message)
    else if (message.type === 'cancel') this.#calls.get(message.id)?.abort()
    else if (message.type === 'more') this.#calls.get(message.id)?.more(message.tokens)
    else
      void this.#send({
        type: 'pong',
        id: message.id,
        ...(this.#engine !== undefined && { figures: figuresOf(this.#engine) })
      })
  }

  async #start(message: Load): Promise<void> {
    try {
      if (this.#told) throw new VeritError('VERIT_RUNNER_FRAME', { problem: 'a second model was sent' })
      this.#told = true
      this.#frames.limit = message.frameBytes ?? toRunnerLimit(1 << 20)
      const { sandbox, load } = this.#lock(message)
      await this.#deliver({ type: 'locked', sandbox })
      if (message.requireSandbox === true) requireLock(sandbox)
      const engine = (this.#engine = await load())
      const {
        name,
        architecture,
        parameters,
        vocabSize,
        context,
        modelContext,
        executor,
        threads,
        conversation,
        engine: kind,
        capabilities,
        cacheType
      } = engine.info
      const bytes = engine.mostPromptBytes
      const info = {
        name: name.slice(0, 256),
        architecture,
        parameters,
        vocabSize,
        context,
        modelContext,
        executor,
        threads,
        engine: kind,
        capabilities,
        cacheType,
        ...(Number.isSafeInteger(bytes) && { promptBytes: bytes }),
        conversation: shortened(conversation)
      }
      await this.#send({ type: 'ready', info })
    } catch (e) {
      await this.#send({ type: 'failed', ...failureOf(e) })
    }
  }

  async #generate({ id, prompt, sampling, tenant }: Generate): Promise<void> {
    const call = new OpenCall()
    this.#calls.set(id, call)
    try {
      const engine = this.#engine
      if (engine === undefined)
        throw new VeritError('VERIT_RUNNER_FRAME', { problem: 'a call came before the model was loaded' })
      const text = new TextBudget()
      for await (const event of engine.generate({ ...sampling, prompt: promptOf(prompt) }, call.signal, tenant)) {
        if (event.type === 'token') {
          await call.place()
          if (call.signal.aborted) continue // there may be no room for it, and nobody reads it
          if (!text.take(event.text, event.top)) throw new VeritError('VERIT_ANSWER_TEXT', {})
        }
        await this.#send(toMessage(id, event))
      }
    } catch (e) {
      await this.#send({ type: 'error', id, ...failureOf(e) })
    } finally {
      this.#calls.delete(id)
    }
  }

  /** Waits until the system has the message: loading cannot change it any more. */
  async #deliver(message: FromRunner): Promise<void> {
    await new Promise<void>((resolve, reject) =>
      this.#socket.write(encodeFrame(message, FROM_RUNNER_LIMIT), e => (e ? reject(e) : resolve()))
    )
  }

  /** Waits while the gateway is slow to read, so that no more than one message a call is held here. */
  async #send(message: FromRunner): Promise<void> {
    if (this.#socket.destroyed || this.#socket.write(encodeFrame(message, FROM_RUNNER_LIMIT))) return
    await new Promise<void>(resolve => {
      const done = (): void => {
        this.#socket.off('drain', done).off('close', done)
        resolve()
      }
      this.#socket.on('drain', done).on('close', done)
    })
  }
}

/** Within the limits of the message. */
const shortened = ({ templateSource, addsBegin, endTokens, warnings }: ConversationInfo): LoadedConversation => ({
  ...(templateSource !== undefined && { templateSource: templateSource.slice(0, 256) }),
  addsBegin,
  endTokens: endTokens.slice(0, 16).map(t => `${t.text.slice(0, 100)} (${t.id})`),
  warnings: warnings.slice(0, 8).map(w => w.slice(0, 512))
})

const figuresOf = ({ cache: { pages, held, promised, kept }, drafts: { drafted, accepted } }: Engine): Figures => ({
  pages,
  held,
  promised,
  kept,
  drafted,
  accepted
})

function promptOf(prompt: Prompt): GenerateRequest['prompt'] {
  if ('text' in prompt) return prompt.text
  return 'tokens' in prompt ? prompt.tokens : prompt
}

function toMessage(id: number, e: GenerateEvent): FromRunner {
  if (e.type === 'start') {
    const { promptTokens, cachedTokens, seed, date } = e
    return { type: 'start', id, promptTokens, cachedTokens, seed, ...(date !== undefined && { date }) }
  }
  if (e.type === 'end') {
    const { promptMs, predictedMs } = e.timings
    return {
      type: 'end',
      id,
      reason: e.reason,
      promptTokens: e.promptTokens,
      completionTokens: e.completionTokens,
      promptMs,
      predictedMs
    }
  }
  return {
    type: 'token',
    id,
    token: e.id,
    text: e.text,
    ...(e.logprob !== undefined && { logprob: e.logprob }),
    ...(e.top !== undefined && { top: e.top.map(t => ({ token: t.id, text: t.text, logprob: t.logprob })) })
  }
}
