/**
 * Mixes of weight formats by the names under which models are published, such as Q4_K_M: which format each matrix has.
 * Source: llama.cpp, src/llama-quant.cpp (facts only).
 */
import type { WeightTypeName } from './registry.ts'

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
  /** Whether the matrix is the head: `output`, or `token_embd` if there is no other. Default: either name. */
  readonly head?: boolean
  /** Heads per head of keys and values. Default 1. */
  readonly queryGroups?: number
  /** Experts of the model. Default 0. */
  readonly experts?: number
}

type Rule = (matrix: MixedMatrix) => WeightTypeName | undefined

/** A mix: the format of most matrices, and of those by name for which `undefined` means the base. */
interface Mix {
  readonly base: WeightTypeName
  /** `general.file_type` (`llama_ftype`). */
  readonly fileType: number
  readonly rules?: Readonly<Record<string, Rule>>
}

/** The first and last eighth of the layers, and every third of the others. */
function isSensitive({ layer, layers }: MixedMatrix): boolean {
  const eighth = Math.floor(layers / 8)
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2
}

const always =
  (type: WeightTypeName): Rule =>
  () =>
    type
const sensitive =
  (type: WeightTypeName): Rule =>
  m =>
    isSensitive(m) ? type : undefined
const firstLayers =
  (count: (layers: number) => number, first: WeightTypeName, others?: WeightTypeName): Rule =>
  m =>
    m.layer < count(m.layers) ? first : others
/** @param many the format in a model of 8 experts */
const outputOf =
  (many: WeightTypeName, others?: WeightTypeName): Rule =>
  ({ experts = 0 }) =>
    experts === 8 ? many : others

const eighth = (layers: number): number => Math.floor(layers / 8)

const mixes = {
  F32: { base: 'F32', fileType: 0 },
  F16: { base: 'F16', fileType: 1 },
  BF16: { base: 'BF16', fileType: 32 },
  Q8_0: { base: 'Q8_0', fileType: 7 },
  Q6_K: { base: 'Q6_K', fileType: 18 },
  Q5_K_M: {
    base: 'Q5_K',
    fileType: 17,
    rules: { attn_v: sensitive('Q6_K'), ffn_down: sensitive('Q6_K') }
  },
  Q5_K_S: { base: 'Q5_K', fileType: 16 },
  Q4_K_M: {
    base: 'Q4_K',
    fileType: 15,
    rules: {
      attn_v: sensitive('Q6_K'),
      ffn_down: sensitive('Q6_K'),
      attn_output: outputOf('Q5_K')
    }
  },
  Q4_K_S: {
    base: 'Q4_K',
    fileType: 14,
    rules: {
      attn_v: firstLayers(() => 4, 'Q5_K'),
      ffn_down: firstLayers(eighth, 'Q5_K'),
      attn_output: outputOf('Q5_K')
    }
  },
  Q3_K_L: {
    base: 'Q3_K',
    fileType: 13,
    rules: { attn_v: always('Q5_K'), ffn_down: always('Q5_K'), attn_output: always('Q5_K') }
  },
  Q3_K_M: {
    base: 'Q3_K',
    fileType: 12,
    rules: {
      attn_v: firstLayers(() => 2, 'Q5_K', 'Q4_K'),
      ffn_down: firstLayers(layers => Math.floor(layers / 16), 'Q5_K', 'Q4_K'),
      attn_output: outputOf('Q5_K', 'Q4_K')
    }
  },
  Q3_K_S: { base: 'Q3_K', fileType: 11, rules: { attn_output: outputOf('Q5_K') } },
  Q2_K: {
    base: 'Q2_K',
    fileType: 10,
    rules: {
      attn_v: ({ queryGroups = 1 }) => (queryGroups >= 4 ? 'Q4_K' : 'Q3_K'),
      ffn_down: always('Q3_K'),
      attn_output: outputOf('Q5_K', 'Q3_K')
    }
  },
  Q5_1: { base: 'Q5_1', fileType: 9 },
  Q5_0: { base: 'Q5_0', fileType: 8 },
  Q4_1: { base: 'Q4_1', fileType: 3 },
  Q4_0: { base: 'Q4_0', fileType: 2 }
} as const satisfies Record<string, Mix>

export type MixName = keyof typeof mixes

export const mixNames = Object.keys(mixes) as MixName[]

/** `general.file_type` of files of a mix. */
export const mixFileType = (name: MixName): number => mixes[name].fileType

/** Fallback of a super-block type for rows that are not whole super-blocks. */
const FALLBACKS: Readonly<Partial<Record<WeightTypeName, WeightTypeName>>> = {
  Q2_K: 'Q4_0',
  Q3_K: 'Q4_0',
  Q4_K: 'Q5_0',
  Q5_K: 'Q5_1',
  Q6_K: 'Q8_0',
  IQ4_XS: 'IQ4_NL'
}

const FLOATS: readonly string[] = ['F32', 'F16', 'BF16']

/** Matrices that stay F32: small, and their errors move every later value. */
const EXACT: readonly string[] = ['ffn_gate_inp', 'position_embd', 'shortconv.conv']

/** Layers of llama.cpp's 70B models, which have more bits for `attn_v`. */
const LARGE = 80

/** Matrices that follow the rules of another one. */
const ROLES: Readonly<Record<string, string>> = { attn_qkv: 'attn_v', ffn_down_exps: 'ffn_down' }

function wanted(name: MixName, m: MixedMatrix): WeightTypeName {
  const { base, rules }: Mix = mixes[name]
  if (FLOATS.includes(base)) return base
  if (m.head ?? (m.name === 'token_embd' || m.name === 'output')) return base === 'Q8_0' ? base : 'Q6_K'
  const role = ROLES[m.name] ?? m.name
  const { experts = 0 } = m
  if (experts === 8 && (role === 'attn_v' || role === 'attn_k')) return 'Q8_0'
  const type = rules?.[role]?.(m) ?? base
  return role === 'attn_v' && m.layers === LARGE && (type === 'Q3_K' || type === 'Q4_K') ? 'Q5_K' : type
}

/**
 * The format of a matrix in a mix. Rows that do not divide into its blocks take a format of smaller blocks, at last
 * F16.
 */
export function typeInMix(name: MixName, matrix: MixedMatrix): WeightTypeName {
  if (EXACT.includes(matrix.name)) return 'F32'
  let type = wanted(name, matrix)
  if (matrix.inputs % 256 !== 0) type = FALLBACKS[type] ?? type
  return matrix.inputs % 32 === 0 || FLOATS.includes(type) ? type : 'F16'
}
