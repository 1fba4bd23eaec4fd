/**
 * How one kind of completion turns the events of a generation into the objects that its clients expect, whole or piece
 * by piece.
 */
import type { CallEvent } from '../runner/messages.ts'
import type { JsonPieces } from './json-pieces.ts'

export type StartEvent = Extract<CallEvent, { type: 'start' }>
export type TokenEvent = Extract<CallEvent, { type: 'token' }>
export type EndEvent = Extract<CallEvent, { type: 'end' }>

/** Members of every object of one answer. */
export interface AnswerHead {
  /** Without its prefix. */
  id: string
  /** Seconds since 1970. */
  created: number
  model: string
  /** `fp_` and the first 16 digits of the model's SHA-256; `_f16` after them where the KV cache is f16. */
  system_fingerprint: string
}

export interface AnswerWriter {
  /** Streamed before the first token. */
  opening(): object[]
  /** Streamed for a token; undefined if there is nothing to send yet. */
  token(event: TokenEvent): object | undefined
  /** Streamed after the last token. @param entry index in the audit log */
  closing(start: StartEvent, end: EndEvent, entry?: number): object
  /** Streamed last, when asked for. */
  usage(start: StartEvent, end: EndEvent): object
  /** Takes a token of an answer that is given whole. */
  keep(event: TokenEvent): void
  /** The whole answer, of all tokens that were kept. */
  whole(start: StartEvent, end: EndEvent, entry?: number): JsonPieces
}

/** Cached tokens come from earlier prompts of the same owner, or of the same key if it has no owner. */
export const usageOf = (start: StartEvent, end: EndEvent): object => ({
  prompt_tokens: end.promptTokens,
  completion_tokens: end.completionTokens,
  total_tokens: end.promptTokens + end.completionTokens,
  prompt_tokens_details: { cached_tokens: start.cachedTokens }
})

/** Data to repeat an answer, and its cost: an extension of Verit. */
export const extensionOf = (start: StartEvent, end: EndEvent, entry?: number): object => ({
  verit: {
    seed: start.seed,
    ...(start.date !== undefined && { date: start.date }),
    prompt_ms: Math.round(end.promptMs),
    predicted_ms: Math.round(end.predictedMs),
    ...(entry !== undefined && { audit_entry: entry })
  }
})

export const finishReason = (end: EndEvent): 'stop' | 'length' => (end.reason === 'length' ? 'length' : 'stop')
