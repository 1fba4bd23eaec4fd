/**
 * Mixes of ggml types by the names under which models are published, such as Q4_K_M: which type each matrix has.
 * Source: llama.cpp, src/llama-quant.cpp (facts only).
 */

/** A matrix, as the rules of a mix see it. */
export interface MixedMatrix {
  /** GGUF name without the block and without `.weight`, such as `attn_v`; `token_embd` or `output` outside blocks. */
  readonly name: string
  /** Block it is in, from 0. */
  readonly layer: number
  /** Blocks of the model. */
  readonly layers: number
  /** Columns, which must be whole blocks of the type. */
  readonly inputs: number
}

/** Types of a mix: of most matrices, of the sensitive ones, and of the head (or the embedding that is the head). */
interface Mix {
  readonly base: string
  readonly head: string
  /** Type of `attn_v` and `ffn_down` in the layers that `isSensitive` names. Default: the base type. */
  readonly sensitive?: string
}

const mixes = {
  F32: { base: 'F32', head: 'F32' },
  F16: { base: 'F16', head: 'F16' },
  BF16: { base: 'BF16', head: 'BF16' },
  Q8_0: { base: 'Q8_0', head: 'Q8_0' },
  Q6_K: { base: 'Q6_K', head: 'Q6_K' },
  Q5_K_M: { base: 'Q5_K', head: 'Q6_K', sensitive: 'Q6_K' },
  Q4_K_M: { base: 'Q4_K', head: 'Q6_K', sensitive: 'Q6_K' },
  Q4_0: { base: 'Q4_0', head: 'Q6_K' }
} as const satisfies Record<string, Mix>

export type MixName = keyof typeof mixes

export const mixNames = Object.keys(mixes) as MixName[]

/** Fallback of a super-block type for rows that are not whole super-blocks. */
const FALLBACKS: Readonly<Record<string, string>> = {
  Q2_K: 'Q4_0',
  Q3_K: 'Q4_0',
  Q4_K: 'Q5_0',
  Q5_K: 'Q5_1',
  Q6_K: 'Q8_0',
  IQ4_XS: 'IQ4_NL'
}

/** The first and last eighth of the layers, and every third of the others. */
function isSensitive({ name, layer, layers }: MixedMatrix): boolean {
  if (name !== 'attn_v' && name !== 'ffn_down') return false
  const eighth = Math.floor(layers / 8)
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2
}

/**
 * The ggml type of a matrix in a mix. A row that does not divide into its blocks takes a type of smaller blocks, at
 * last F16.
 */
export function typeInMix(name: MixName, matrix: MixedMatrix): string {
  // the router of experts is small, and its choice is sensitive
  if (matrix.name === 'ffn_gate_inp') return 'F32'
  const mix: Mix = mixes[name]
  let type = mix.base
  if (matrix.name === 'token_embd' || matrix.name === 'output') type = mix.head
  else if (mix.sensitive !== undefined && isSensitive(matrix)) type = mix.sensitive
  if (matrix.inputs % 256 !== 0) type = FALLBACKS[type] ?? type
  const whole = matrix.inputs % 32 === 0 || ['F32', 'F16', 'BF16'].includes(type)
  return whole ? type : 'F16'
}
