/**
 * Limits of a generation, decided before anything is spent: lengths of answer and prompt, and total tokens. The
 * runner's statements about its model can only reduce these limits and refuse a prompt early; the call is then held to
 * them, so a false number costs the runner's own answers.
 */
import { VeritError } from '../lib/errors.ts'
import { MOST_PROMPT_TEXT } from '../runner/messages.ts'
import type { ModelInfo, Prompt, Sampling } from '../runner/messages.ts'

/** A request body, understood. */
export interface GenerationRequest {
  prompt: Prompt
  sampling: Omit<Sampling, 'maxTokens' | 'maxPromptTokens'>
  /** Undefined if the client set none. */
  askedTokens: number | undefined
  defaultTokens: number
}

export interface GenerationPlan {
  maxTokens: number
  /** Prompt lengths to reserve tokens for, shorter first: the expected length, then the maximum. */
  promptBounds: readonly number[]
  /** Tokens of prompt and answer together, at most. */
  context: number
}

export interface PlanLimits {
  promptTokens: number | undefined
  outputTokens: number | undefined
  context: number
  /** UTF-8 bytes of a prompt's text that can fit. Default: any number. */
  promptBytes?: number | undefined
}

/** Positions of a sequence that any model may have. */
const MOST_CONTEXT = 1 << 20

/** @param operator the context that the configuration allows; 0: the model's */
export function modelLimits(
  operator: number,
  { context, promptBytes }: Pick<ModelInfo, 'context' | 'promptBytes'>
): Pick<PlanLimits, 'context' | 'promptBytes'> {
  return { context: Math.min(context, operator === 0 ? MOST_CONTEXT : operator), promptBytes }
}

/** A chat template adds some tokens to each message and a preamble; how many, only the model's process knows. */
const TEMPLATE_TOKENS = 256
const MESSAGE_TOKENS = 32

/**
 * @throws VeritError VERIT_REQUEST if more tokens are requested than the key may have; VERIT_PROMPT_LENGTH,
 *   VERIT_PROMPT_LIMIT for a prompt that cannot fit
 */
export function planOf(request: GenerationRequest, limits: PlanLimits): GenerationPlan {
  const { askedTokens, defaultTokens, prompt } = request
  const most = limits.outputTokens ?? Infinity
  if (askedTokens !== undefined && askedTokens > most) {
    throw new VeritError('VERIT_REQUEST', {
      field: 'max_tokens',
      problem: `must be at most ${most}: the key or the server has that limit`
    })
  }
  checkSize(prompt, limits)
  const longest = Math.max(1, Math.min(limits.promptTokens ?? Infinity, limits.context))
  const bounds = tokenBounds(prompt).map(n => Math.min(longest, n))
  return {
    maxTokens: Math.min(askedTokens ?? defaultTokens, most),
    promptBounds: [...new Set(bounds)],
    context: limits.context
  }
}

/** Refuses requests that cannot fit before they cost a reservation or time of the runner. */
function checkSize(prompt: Prompt, { promptTokens = Infinity, context, promptBytes = Infinity }: PlanLimits): void {
  const limit = Math.min(promptTokens, context - 1)
  const tooLong = (size: { tokens: number; orMore?: boolean }): VeritError =>
    limit < context - 1
      ? new VeritError('VERIT_PROMPT_LIMIT', { ...size, limit })
      : new VeritError('VERIT_PROMPT_LENGTH', { ...size, context })
  if ('tokens' in prompt) {
    if (prompt.tokens.length > limit) throw tooLong({ tokens: prompt.tokens.length })
    return
  }
  const texts = textsOf(prompt)
  const sum = (of: (text: string) => number): number => texts.reduce((n, text) => n + of(text), 0)
  const units = sum(text => text.length)
  if (units > MOST_PROMPT_TEXT) {
    if ('text' in prompt)
      throw new VeritError('VERIT_REQUEST', {
        field: 'prompt',
        problem: `must be at most ${MOST_PROMPT_TEXT} characters long`
      })
    throw new VeritError('VERIT_CHAT', { problem: `its messages have more than ${MOST_PROMPT_TEXT} characters` })
  }
  if (units > promptBytes || sum(Buffer.byteLength) > promptBytes) throw tooLong({ tokens: limit + 1, orMore: true })
}

const textsOf = (prompt: Exclude<Prompt, { tokens: unknown }>): string[] =>
  'text' in prompt ? [prompt.text] : prompt.messages.map(m => m.content)

/**
 * The expected and the maximum number of prompt tokens. A token stands for at least one byte of text; a text may get a
 * token before it and a space that becomes one, and a chat template may add any number.
 */
function tokenBounds(prompt: Prompt): number[] {
  if ('tokens' in prompt) return [Math.max(1, prompt.tokens.length)]
  const bytes = textsOf(prompt).reduce((n, text) => n + Buffer.byteLength(text), 0)
  if ('text' in prompt) return [Math.max(1, bytes) + 1, bytes + 2]
  return [bytes + MESSAGE_TOKENS * prompt.messages.length + TEMPLATE_TOKENS, Infinity]
}

/**
 * The maximum number of tokens, prompt and answer together, for a prompt of at most `bound`: the reservation, and the
 * limit of the call.
 */
export const worstCase = (plan: GenerationPlan, bound: number): number => Math.min(plan.context, bound + plan.maxTokens)
