/** That a head which is to be screened (docs/screened-head.md) is: what is asked for and cannot be is refused, as an instruction set that a machine lacks is. */
import { VeritError } from '../lib/errors.ts'
import type { ModelConfig } from './config.ts'
import { headForm } from './weights.ts'
import type { ServingForm, TableForm } from './weights.ts'

/** As GGUF calls them. */
const TYPES = { f32: 'F32', f16: 'F16', q8: 'Q8_0', q6: 'Q6_K' } as const

/** @param otherwise how the head can be made f16 @throws VeritError VERIT_USAGE */
export function checkScreened(name: string, config: ModelConfig, form: Pick<ServingForm, 'embedding' | 'head'>, otherwise: string): void {
  const table = headForm(config, form)
  if (table === 'screened') return
  const why = reason(config, table)
  throw new VeritError('VERIT_USAGE', { problem: `The head of ${name} cannot be screened: ${why}`, hint: `Leave the screening of the head at auto${table === 'f16' ? '' : `, or ${otherwise}`}` })
}

function reason({ hidden, finalSoftcap }: ModelConfig, table: Exclude<TableForm, 'screened'>): string {
  if (table !== 'f16') return `it is kept as ${TYPES[table]}, not F16`
  if (finalSoftcap !== undefined) return 'the model caps its logits'
  return hidden % 256 === 0 ? 'there is no memory for the copy' : `its rows are ${hidden} wide, no multiple of 256`
}
