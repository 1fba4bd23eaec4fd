/** The token for a hub, from the environment or a file named there; never from the command line. */
import { VeritError } from '../lib/errors.ts'
import { secretSetting } from '../lib/secret-setting.ts'

/** The first of these settings that is set. @throws VeritError VERIT_CONFIG and those of reading the file */
export function tokenFrom(...names: readonly string[]): string | undefined {
  for (const name of names) {
    const token = secretSetting(name)
    if (token === undefined) continue
    if (/^[\x21-\x7e]+$/.test(token)) return token
    throw new VeritError('VERIT_CONFIG', {
      source: 'the environment',
      field: name,
      problem: 'holds characters that no token has'
    })
  }
  return undefined
}

/** Verit's own setting, and the one that other programs of the hub use. */
export const hubToken = (): string | undefined => tokenFrom('VERIT_HUB_TOKEN', 'HF_TOKEN')
