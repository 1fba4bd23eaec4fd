/**
 * Refuses output-head screening (docs/internals/output-head-screening.md) that was asked for and is not possible, as an
 * instruction set that a machine lacks is refused.
 */
import { VeritError } from '../lib/errors.ts'
import type { ModelConfig } from '../arch/architecture.ts'
import { headPacking } from './weights.ts'
import type { ServingForm } from './weights.ts'

/** @param otherwise how the head can be made f16 @throws VeritError VERIT_USAGE */
export function checkScreened(name: string, config: ModelConfig, form: ServingForm, otherwise: string): void {
  const head = headPacking(config, form)
  if (head.screened) return
  const hint = `Leave the screening of the head at auto${head.name === 'f16' ? '' : `, or ${otherwise}`}`
  throw new VeritError('VERIT_USAGE', {
    problem: `The head of ${name} cannot be screened: ${reason(config, head.name)}`,
    hint
  })
}

function reason({ hidden, finalSoftcap }: ModelConfig, head: string): string {
  if (head !== 'f16') return `it is kept as ${head.toUpperCase()}, not F16`
  if (finalSoftcap !== undefined) return 'the model caps its logits'
  return hidden % 256 === 0 ? 'there is no memory for the copy' : `its rows are ${hidden} wide, no multiple of 256`
}
