/** Whether ternary weights are kept five codes to a byte or four. Both give the same bits; machines differ in speed. */
import type { Executor } from '../exec/plan.ts'
import { givenSetting, ternaryPackings } from '../lib/compute-settings.ts'
import type { TernaryPacking } from '../lib/compute-settings.ts'
import { VeritError } from '../lib/errors.ts'

export type { TernaryPacking } from '../lib/compute-settings.ts'

const isPacking = (name: string): name is TernaryPacking => (ternaryPackings as readonly string[]).includes(name)

/**
 * Five codes per byte are a fifth less to read, and need byte permutes to be unpacked at the speed of memory.
 * @param option default and 'auto': the environment's VERIT_PACKING, or the faster one for the executor
 * @throws VeritError VERIT_USAGE for another name
 */
export function chooseTernaryPacking(
  { bytePermutes }: Pick<Executor, 'bytePermutes'>,
  option?: string
): TernaryPacking {
  const packing = givenSetting(option, 'VERIT_PACKING')
  if (packing === undefined) return bytePermutes ? 'base3' : 'two-bit'
  if (isPacking(packing)) return packing
  const source = packing === option ? JSON.stringify(packing.slice(0, 100)) : 'VERIT_PACKING'
  const hint = `Use ${ternaryPackings.join(' or ')}, or leave it out`
  throw new VeritError('VERIT_USAGE', { problem: `${source} names no packing of ternary weights`, hint })
}
