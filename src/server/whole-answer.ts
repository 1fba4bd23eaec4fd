/** Sends a complete answer piece by piece, signed where it should be: other clients wait for a piece, not for all. */
import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { turn } from '../lib/turns.ts'
import { digestField } from '../trust/content-digest.ts'
import type { GatewayContext } from './context.ts'
import { fieldError } from './dialect.ts'
import type { Ending } from './ending.ts'
import type { JsonPieces } from './json-pieces.ts'
import { writePatiently } from './patient-write.ts'
import type { GenerationPlan } from './plan.ts'
import { signWhole } from './signatures.ts'

/** Log probabilities of one whole answer: half of the memory that all of them have (held-answers.ts). */
const MOST_LOGPROBS = 1 << 19

/**
 * @param logprobs alternatives per token; undefined: no log probabilities
 * @throws VeritError VERIT_REQUEST for an answer that could take too much memory before its first byte is sent
 */
export function checkWholeSize(logprobs: number | undefined, { maxTokens, context }: GenerationPlan): void {
  if (logprobs === undefined) return
  const most = Math.floor(MOST_LOGPROBS / (1 + logprobs))
  if (Math.min(maxTokens, context) <= most) return
  const problem = `must be at most ${most} for a whole answer with so many log probabilities`
  throw fieldError('max_tokens', problem, 'Ask for a stream, or for fewer of them')
}

const TYPE = 'application/json; charset=utf-8'
/**
 * Pieces that are hashed or sent in one turn: 256 KiB and more. Without turns a client that reads fast would get all of
 * them in one round of the event loop.
 */
const PIECES = 8

/** Minimum bytes per second that a client must read. */
const SLOWEST = 16 << 10

/**
 * Sends it with status 200. The entry of the request must be in the audit log by now. The connection ends with the
 * `ending` (for example because the memory of all answers is used up), and when the client reads less than 16 KiB a
 * second.
 * @throws VeritError of the ending, before the first byte is sent
 */
export async function sendWhole(
  context: GatewayContext,
  request: FastifyRequest,
  reply: FastifyReply,
  answer: JsonPieces,
  ending: Ending
): Promise<FastifyReply> {
  const { pieces, bytes } = answer
  const signature = await signWhole(context, request, TYPE, () => digestOf(pieces))
  if (ending.signal.aborted) throw ending.reason
  reply.hijack()
  const raw = reply.raw
  const own = { 'content-type': TYPE, 'content-length': String(bytes) }
  raw.writeHead(200, { ...(reply.getHeaders() as Record<string, string>), ...own, ...signature })
  const slowMs = context.config.http.slowReaderSeconds * 1000
  const cut = (): void => void raw.destroy()
  ending.signal.addEventListener('abort', cut, { once: true })
  const timer = setTimeout(cut, slowMs + (bytes / SLOWEST) * 1000)
  try {
    for await (const piece of inTurns(pieces)) await writePatiently(raw, piece, slowMs)
    raw.end()
  } finally {
    clearTimeout(timer)
    ending.signal.removeEventListener('abort', cut)
  }
  return reply
}

async function digestOf(pieces: readonly Buffer[]): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of inTurns(pieces)) hash.update(piece)
  return digestField(hash.digest())
}

async function* inTurns(pieces: readonly Buffer[]): AsyncGenerator<Buffer> {
  for (const [i, piece] of pieces.entries()) {
    if (i % PIECES === PIECES - 1) await turn()
    yield piece
  }
}
