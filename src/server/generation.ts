/**
 * Runs one generation for a client: waits for a place, sends it to the model's process, answers whole or as server-sent events, and stops when
 * the client leaves.
 */
import type { ServerResponse } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { VeritError } from '../lib/errors.ts'
import type { CallEvent, Prompt, Sampling } from '../runner/messages.ts'
import type { AnswerHead, AnswerWriter, EndEvent, StartEvent, TokenEvent } from './answer-writer.ts'
import { authenticate } from './authenticate.ts'
import type { GatewayContext, ServedModel } from './context.ts'
import { errorReply } from './error-reply.ts'

/** A request body, understood. */
export interface GenerationCall {
  prompt: Prompt
  sampling: Sampling & { maxTokens: number }
  model: string | undefined
  stream: boolean
  includeUsage: boolean
  writer: (head: AnswerHead) => AnswerWriter
}

/** A client that reads nothing for this long is given up. */
const SLOW_READER_MS = 30_000

export async function answer(context: GatewayContext, call: GenerationCall, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const model = modelOf(context, call.model)
  using watch = new Watch(context, reply.raw)
  const { signal } = watch
  using held = new DisposableStack()
  const place = await context.admission.enter(request.verit.key!.id, signal)
  if (place === undefined) return end(signal, reply)
  held.use(place)
  authenticate(request.raw, context.store) // the key may have been revoked while it waited

  const head: AnswerHead = {
    id: request.id.replace(/^req_/, ''), created: Math.floor(Date.now() / 1000), model: model.id,
    system_fingerprint: `fp_${model.runner.digest.slice(7, 23)}`,
  }
  const generation = model.runner.generate(call.prompt, call.sampling, signal)
  const events = untilAborted(generation, signal)
  try {
    const first = await events.next()
    if (first.done === true) return end(signal, reply)
    const start = first.value as StartEvent
    request.verit.promptTokens = start.promptTokens
    const answering = { events, start, signal, request, reply, writer: call.writer(head) }
    return await (call.stream ? stream(answering, call.includeUsage) : whole(answering))
  } finally {
    // The process may be slow to let go of a call: its place is held until then, its client need not wait.
    const places = held.move()
    void generation.return(undefined).catch(() => undefined).finally(() => places.dispose())
  }
}

/** The events until the signal comes, which ends them at once. */
async function* untilAborted(events: AsyncGenerator<CallEvent>, signal: AbortSignal): AsyncGenerator<CallEvent> {
  let wake = (): void => undefined
  signal.addEventListener('abort', () => wake(), { once: true })
  while (!signal.aborted) {
    const next = await new Promise<IteratorResult<CallEvent> | undefined>((resolve, reject) => {
      wake = () => resolve(undefined)
      events.next().then(resolve, reject)
    })
    if (next === undefined || next.done === true) return
    yield next.value
  }
}

interface Answering {
  events: AsyncGenerator<CallEvent>
  start: StartEvent
  signal: AbortSignal
  request: FastifyRequest
  reply: FastifyReply
  writer: AnswerWriter
}

const LEFT = Symbol('the client left')

/** Aborts its signal when the client leaves, the time is up, or the server stops; the reason is LEFT, or the error to answer with. */
class Watch implements Disposable {
  readonly signal: AbortSignal
  #timer: NodeJS.Timeout
  #dispose: () => void

  constructor({ stopping, requestTimeoutSeconds: seconds }: GatewayContext, raw: ServerResponse) {
    const abort = new AbortController()
    this.signal = abort.signal
    const left = (): void => abort.abort(LEFT)
    const stop = (): void => abort.abort(new VeritError('VERIT_STOPPING', { what: 'ended this answer' }))
    raw.once('close', left)
    if (raw.destroyed) left() // it went while its body was being read
    if (stopping.aborted) stop()
    else stopping.addEventListener('abort', stop, { once: true })
    this.#timer = setTimeout(() => abort.abort(new VeritError('VERIT_TIMEOUT', { seconds })), seconds * 1000)
    this.#dispose = () => {
      raw.off('close', left)
      stopping.removeEventListener('abort', stop)
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#dispose()
  }
}

function modelOf(context: GatewayContext, name: string | undefined): ServedModel {
  const model = context.model
  if (model === undefined) throw new VeritError('VERIT_LOADING', { model: context.modelId })
  if (name !== undefined && name !== model.id) throw new VeritError('VERIT_NOT_FOUND', { what: 'model of that name' })
  return model
}

/** The generation ended without an end: nothing to say to a client that left; else the reason is the answer. */
function end(signal: AbortSignal, reply: FastifyReply): FastifyReply {
  if (signal.reason !== LEFT) throw reasonOf(signal)
  return reply.hijack()
}

/** Without a reason, the process itself gave up. */
const reasonOf = (signal: AbortSignal): unknown => (signal.aborted ? signal.reason : new VeritError('VERIT_UNAVAILABLE', { what: 'model process' }))

async function whole(a: Answering): Promise<unknown> {
  const tokens: TokenEvent[] = []
  for await (const event of a.events) {
    if (event.type === 'token') tokens.push(event)
    else if (isEnd(event)) {
      a.request.verit.completionTokens = event.completionTokens
      return a.writer.whole(a.start, tokens, event)
    }
  }
  return end(a.signal, a.reply)
}

async function stream(a: Answering, includeUsage: boolean): Promise<FastifyReply> {
  const { reply, writer, request } = a
  reply.hijack()
  const raw = reply.raw
  const headers = reply.getHeaders() as Record<string, string>
  raw.writeHead(200, { ...headers, 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' })
  const send = (value: object): Promise<void> => write(raw, `data: ${JSON.stringify(value)}\n\n`)
  try {
    for (const chunk of writer.opening()) await send(chunk)
    let last: EndEvent | undefined
    for await (const event of a.events) {
      if (isEnd(event)) last = event
      else if (event.type === 'token') {
        const chunk = writer.token(event)
        if (chunk !== undefined) await send(chunk)
      }
    }
    if (last === undefined) throw reasonOf(a.signal)
    request.verit.completionTokens = last.completionTokens
    await send(writer.closing(a.start, last))
    if (includeUsage) await send(writer.usage(last))
    await write(raw, 'data: [DONE]\n\n')
  } catch (e) {
    if (a.signal.reason !== LEFT) {
      request.verit.error = e
      await send(errorReply(e, request.id).body)
    }
  }
  raw.end()
  return reply
}

/** An end that nobody asked for by cancelling counts as no end. */
const isEnd = (event: CallEvent): event is EndEvent => event.type === 'end' && event.reason !== 'cancelled'

/** Writes and, when the client is slow, waits for it: for a while. */
async function write(raw: ServerResponse, text: string): Promise<void> {
  if (raw.destroyed || raw.write(text)) return
  await new Promise<void>(resolve => {
    const timer = setTimeout(() => raw.destroy(), SLOW_READER_MS)
    const done = (): void => {
      clearTimeout(timer)
      raw.off('drain', done).off('close', done)
      resolve()
    }
    raw.on('drain', done).on('close', done)
  })
}
