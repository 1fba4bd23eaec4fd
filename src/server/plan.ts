/** What a generation will be at most, decided before anything is spent on it: how long its answer, how long its prompt, how many tokens in all. */
import { VeritError } from '../lib/errors.ts'
import type { Prompt, Sampling } from '../runner/messages.ts'

/** A request body, understood. */
export interface GenerationRequest {
  prompt: Prompt
  sampling: Omit<Sampling, 'maxTokens' | 'maxPromptTokens'>
  /** Undefined where the client did not say. */
  askedTokens: number | undefined
  defaultTokens: number
}

export interface GenerationPlan {
  maxTokens: number
  /** Prompt lengths to hold tokens for, shorter first: the first is what the prompt should need, the last what it may need at most. */
  promptBounds: readonly number[]
  /** Positions of the model: no request takes more tokens. */
  context: number
}

export interface PlanLimits {
  promptTokens: number | undefined
  outputTokens: number | undefined
  context: number
}

/** A chat template adds some tokens to each message and a preamble; how many, only the model's process knows. */
const TEMPLATE_TOKENS = 256
const MESSAGE_TOKENS = 32

/** @throws VeritError VERIT_REQUEST when more tokens are asked for than the key may have */
export function planOf(request: GenerationRequest, limits: PlanLimits): GenerationPlan {
  const { askedTokens, defaultTokens, prompt } = request
  const most = limits.outputTokens ?? Infinity
  if (askedTokens !== undefined && askedTokens > most) {
    throw new VeritError('VERIT_REQUEST', { field: 'max_tokens', problem: `must be at most ${most}: the key or the server has that limit` })
  }
  const longest = Math.max(1, Math.min(limits.promptTokens ?? Infinity, limits.context))
  const likely = Math.min(longest, likelyTokens(prompt))
  return { maxTokens: Math.min(askedTokens ?? defaultTokens, most), promptBounds: likely < longest ? [likely, longest] : [longest], context: limits.context }
}

/** A token stands for at least one byte; special tokens that a template adds stand for none. */
function likelyTokens(prompt: Prompt): number {
  if ('tokens' in prompt) return Math.max(1, prompt.tokens.length)
  if ('text' in prompt) return Math.max(1, Buffer.byteLength(prompt.text)) + 1
  return prompt.messages.reduce((n, m) => n + Buffer.byteLength(m.content) + MESSAGE_TOKENS, TEMPLATE_TOKENS)
}

/** The most tokens, prompt and answer together, with a prompt of at most `bound`. */
export const worstCase = (plan: GenerationPlan, bound: number): number => Math.min(plan.context, bound + plan.maxTokens)
