/** The settings of computing whose values are names. Options, configuration and environment take the same ones. */

/** Instruction sets of the kernels, the fastest first, and the executor without kernels. */
export const instructionSetNames = ['avx512', 'avx2vnni', 'avx2', 'neondot', 'neon', 'baseline', 'reference'] as const
export type InstructionSetName = (typeof instructionSetNames)[number]

/** How ternary weights are kept in memory: five codes to a byte, or four. */
export const ternaryPackings = ['base3', 'two-bit'] as const
export type TernaryPacking = (typeof ternaryPackings)[number]

/** Element types of cached keys and values. Columns of short convolutions are always f32. */
export const cacheTypes = ['f16', 'f32'] as const
export type CacheType = (typeof cacheTypes)[number]

/** The option, or else the environment variable. Undefined where neither is given; 'auto' counts as not given. */
export const givenSetting = (option: string | undefined, variable: string): string | undefined =>
  [option, process.env[variable]].find(value => value !== undefined && value !== 'auto')
