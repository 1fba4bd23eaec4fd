/**
 * Runs one generation for a client: reserves its maximum cost, waits for a slot, sends it to the runner, answers whole
 * or as server-sent events, settles and records it before the answer ends, and stops if the client leaves or its key is
 * revoked.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { DisposableStack } from '../lib/disposable-stack.ts'
import { VeritError } from '../lib/errors.ts'
import { turn } from '../lib/turns.ts'
import type { CallEvent, Prompt } from '../runner/messages.ts'
import type { AnswerHead, AnswerWriter, EndEvent, StartEvent } from './answer-writer.ts'
import { checkStillMay, mayUse, stillMay } from './authenticate.ts'
import type { GatewayContext, GenerationNotes, ServedModel } from './context.ts'
import { Ending } from './ending.ts'
import { errorReply } from './error-reply.ts'
import { EventStream } from './event-stream.ts'
import type { HeldAnswer } from './held-answers.ts'
import { JsonPieces } from './json-pieces.ts'
import { modelLimits, planOf, worstCase } from './plan.ts'
import type { GenerationPlan, GenerationRequest } from './plan.ts'
import { limitsOf } from './rates.ts'
import { checkRecords, record } from './record.ts'
import { signStream } from './signatures.ts'
import { Spending } from './spending.ts'
import { checkWholeSize, sendWhole } from './whole-answer.ts'

/** Characters of a prompt that take more than a millisecond to write out. */
const LONG_PROMPT = 1 << 16

export interface GenerationCall extends GenerationRequest {
  model: string | undefined
  stream: boolean
  includeUsage: boolean
  /** Whether events of a stream are filled up to one size. */
  obfuscate: boolean
  writer: (head: AnswerHead) => AnswerWriter
}

/** A running generation. */
interface Answering {
  context: GatewayContext
  call: GenerationCall
  model: ServedModel
  request: FastifyRequest
  reply: FastifyReply
  ending: Ending
  notes: GenerationNotes
  /** Its share of the memory of answers that are not streamed. */
  held: HeldAnswer
  /** Received tokens, including the prompt's own with `echo`. */
  tokens: number
  /** Where the answer goes piece by piece. */
  out: EventStream | undefined
}

export async function answer(
  context: GatewayContext,
  call: GenerationCall,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<unknown> {
  const caller = request.verit.caller!
  const key = caller.record
  const model = modelOf(context, call.model)
  await checkRecords(context)
  const permits = (r: typeof key): boolean => mayUse(r, model.id) && stillMay(caller, r, 'infer', request.verit.remote)
  if (!mayUse(key, model.id)) throw new VeritError('VERIT_FORBIDDEN', { problem: 'the key may not use this model' })
  const notes = notesOf(call)
  request.verit.generation = notes
  if (notes.prompt.length > LONG_PROMPT) await turn() // writing it out took long, and so will sending it to the runner
  const fromModel = modelLimits(context.config.inference.context, model.runner.info)
  const plan = planOf(call, { ...limitsOf(key, context.config), ...fromModel })
  if (!call.stream) checkWholeSize(call.sampling.logprobs, plan)
  using ending = new Ending(context, reply.raw)
  using _watched = context.revocations.watch(key.id, permits, why => ending.end(why))
  using out = call.stream ? eventStream(context, request, reply) : undefined
  using held = context.heldAnswers.open(why => ending.end(why))
  const a: Answering = { context, call, model, request, reply, ending, notes, held, tokens: 0, out }
  try {
    const result = await attempts(a, plan)
    // Its place is already free: a slow reader delays no other request.
    return result instanceof JsonPieces ? await sendWhole(context, request, reply, result, ending) : result
  } catch (e) {
    if (out?.begun !== true) throw e
    if (!ending.clientLeft) await failStream(a, e, out)
    reply.raw.end()
    return reply
  }
}

async function attempts(a: Answering, plan: GenerationPlan): Promise<JsonPieces | FastifyReply> {
  const { context, request, reply } = a
  const key = request.verit.caller!.record
  for (const [i, bound] of plan.promptBounds.entries()) {
    const spending = await Spending.hold(
      context,
      key,
      request.verit.remote,
      worstCase(plan, bound),
      `${request.id}.${i}`,
      reply
    )
    try {
      return await attempt(a, plan, bound, spending)
    } catch (e) {
      // The prompt has more tokens than were reserved for it, as a chat template can make them: reserve the most it can
      // have.
      const began = request.verit.promptTokens !== undefined
      if (began || !VeritError.is(e, 'VERIT_PROMPT_LIMIT') || i === plan.promptBounds.length - 1) throw e
    } finally {
      await spending.settle(spent(request))
    }
  }
  throw new VeritError('VERIT_INTERNAL', { problem: 'a generation without a bound' })
}

const spent = ({ verit }: FastifyRequest): number => (verit.promptTokens ?? 0) + (verit.completionTokens ?? 0)

/** @param bound tokens of the prompt that were reserved, at most */
async function attempt(
  a: Answering,
  plan: GenerationPlan,
  bound: number,
  spending: Spending
): Promise<JsonPieces | FastifyReply> {
  const { context, call, model, request, ending } = a
  const { signal } = ending
  using held = new DisposableStack()
  const waits = context.admission.full
  const place = await context.admission.enter(request.verit.caller!.record.id, signal)
  if (place === undefined) return leave(a)
  held.use(place)
  if (waits) await checkStillValid(a)
  const mostTokens = worstCase(plan, bound)
  const sampling = { ...call.sampling, maxTokens: Math.min(plan.maxTokens, mostTokens - 1), maxPromptTokens: bound }
  const tenant = tenantOf(context, request.verit.caller!.record)
  const generation = model.runner.generate(call.prompt, sampling, signal, { tenant, mostTokens })
  const events = untilAborted(generation, signal)
  try {
    const first = await events.next()
    if (first.done === true) return leave(a)
    const start = first.value as StartEvent
    request.verit.promptTokens = start.promptTokens
    request.verit.cachedTokens = start.cachedTokens
    a.notes.parameters = {
      ...a.notes.parameters,
      max_tokens: plan.maxTokens,
      seed: start.seed,
      ...(start.date !== undefined && { date: start.date })
    }
    return await (a.out === undefined ? whole(a, start, events, spending) : stream(a, a.out, start, events, spending))
  } finally {
    // The process may be slow to end a call: its place is held until then, but its client need not wait.
    const places = held.move()
    void generation
      .return(undefined)
      .catch(() => undefined)
      .finally(() => places.dispose())
  }
}

/**
 * The tenant of the prefix cache: the key's owner, or the key itself without an owner. A prefix separates the two, so
 * that no owner can be named like a key.
 */
function tenantOf({ config }: GatewayContext, { id, owner }: { id: string; owner: string }): string | undefined {
  if (!config.inference.prefixReuse) return undefined
  return owner === '' ? `key ${id}` : `owner ${owner}`
}

/** The key may have been revoked since the watch over it has looked last: no work begins for one that has. */
async function checkStillValid({ context, request, ending }: Answering): Promise<void> {
  try {
    await checkStillMay(context, request.verit.caller!, 'infer', request.verit.remote)
  } catch (e) {
    ending.end(e as VeritError)
    throw e
  }
}

function notesOf({ prompt, sampling, askedTokens, defaultTokens }: GenerationCall): GenerationNotes {
  const { temperature, topP, topK, seed, logprobs, stop } = sampling
  const maxTokens = askedTokens ?? defaultTokens
  return {
    // stop strings are texts of the client: only their number is recorded
    parameters: { ...sampling, ...(stop !== undefined && { stop: stop.length }) },
    prompt: promptText(prompt),
    promptIds: 'tokens' in prompt ? prompt.tokens : undefined,
    answer: '',
    finish: undefined,
    observed: Object.fromEntries(
      Object.entries({ temperature, topP, topK, seed, logprobs, maxTokens }).filter(([, v]) => v !== undefined)
    )
  }
}

/** The prompt for the audit log: the text, or token ids or messages as JSON. */
function promptText(prompt: Prompt): string {
  if ('text' in prompt) return prompt.text
  return JSON.stringify(
    'tokens' in prompt ? prompt.tokens : prompt.messages.map(({ role, content }) => ({ role, content }))
  )
}

/** Events until the signal, which ends them at once. */
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

function modelOf(context: GatewayContext, name: string | undefined): ServedModel {
  const model = context.model
  if (model === undefined) throw new VeritError('VERIT_LOADING', { model: context.modelId })
  if (name !== undefined && name !== model.id) throw new VeritError('VERIT_NOT_FOUND', { what: 'model of that name' })
  return model
}

function headOf({ request, model }: Answering): AnswerHead {
  return {
    id: request.id.replace(/^req_/, ''),
    created: Math.floor(Date.now() / 1000),
    model: model.id,
    system_fingerprint: fingerprintOf(model)
  }
}

/**
 * Names everything that decides an answer besides the request: the model, and the type of the KV cache if it rounds.
 */
function fingerprintOf({ runner }: ServedModel): string {
  return `fp_${runner.digest.slice(7, 23)}${runner.info.cacheType === 'f16' ? '_f16' : ''}`
}

/** The generation ended early: nothing to send to a client that left; otherwise the reason is the answer. */
function leave({ ending, reply }: Answering): FastifyReply {
  if (!ending.clientLeft) throw ending.reason
  return reply.hijack()
}

/** Counts received tokens for settlement and record, whatever happens to them. */
function note(a: Answering, event: CallEvent): void {
  const { verit } = a.request
  if (event.type === 'token') {
    if (a.tokens++ === 0) a.context.metrics.firstToken((performance.now() - verit.start) / 1000)
    verit.completionTokens = Math.max(0, a.tokens - (a.call.sampling.echo === true ? verit.promptTokens! : 0))
    a.notes.answer += event.text
  } else if (isEnd(event)) {
    verit.completionTokens = event.completionTokens
    a.notes.finish = event.reason
  }
}

async function whole(
  a: Answering,
  start: StartEvent,
  events: AsyncGenerator<CallEvent>,
  spending: Spending
): Promise<JsonPieces | FastifyReply> {
  const { context, request, reply, call } = a
  const writer = call.writer(headOf(a))
  for await (const event of events) {
    note(a, event)
    if (event.type === 'token') {
      a.held.add(event)
      writer.keep(event)
    } else if (isEnd(event)) {
      await Promise.all([record(context, request, 200), spending.settle(spent(request))])
      if (request.verit.entry !== undefined) void reply.header('verit-audit-entry', String(request.verit.entry))
      return writer.whole(start, event, request.verit.entry)
    }
  }
  return leave(a)
}

/** The head is sent with the first event: an earlier failure has its own status. */
function eventStream(context: GatewayContext, request: FastifyRequest, reply: FastifyReply): EventStream {
  const { slowReaderSeconds, keepAliveSeconds } = context.config.http
  return new EventStream(reply.raw, {
    slowMs: slowReaderSeconds * 1000,
    keepAliveMs: keepAliveSeconds * 1000,
    open: () => {
      reply.hijack()
      const own = { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' }
      const headers = { ...(reply.getHeaders() as Record<string, string>), ...own }
      const signing = signStream(context, request, 200, headers)
      reply.raw.writeHead(200, { ...headers, ...signing?.headers })
      return signing?.signer
    }
  })
}

async function stream(
  a: Answering,
  out: EventStream,
  start: StartEvent,
  events: AsyncGenerator<CallEvent>,
  spending: Spending
): Promise<FastifyReply> {
  const { context, reply, request, call } = a
  const writer = call.writer(headOf(a))
  for (const chunk of writer.opening()) await out.send(chunk, call.obfuscate)
  let last: EndEvent | undefined
  for await (const event of events) {
    note(a, event)
    if (isEnd(event)) last = event
    else if (event.type === 'token') {
      const chunk = writer.token(event)
      if (chunk !== undefined) await out.send(chunk, call.obfuscate)
    }
  }
  if (last === undefined) return leave(a)
  await Promise.all([record(context, request, 200), spending.settle(spent(request))])
  await out.send(writer.closing(start, last, request.verit.entry), call.obfuscate)
  if (call.includeUsage) await out.send(writer.usage(start, last))
  await out.done()
  return reply
}

/** An error after the first event is one more event; it, too, is recorded first. */
async function failStream({ context, request }: Answering, e: unknown, out: EventStream): Promise<void> {
  request.verit.error ??= e
  await record(context, request, errorReply(e, '').status).catch(() => undefined)
  await out.send(errorReply(e, request.id).body)
  await out.end()
}

/** An end that nobody asked for by cancelling counts as no end. */
const isEnd = (event: CallEvent): event is EndEvent => event.type === 'end' && event.reason !== 'cancelled'
