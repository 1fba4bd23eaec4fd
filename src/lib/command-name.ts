/**
 * What a user types to reach our command, for the sentences that suggest one: a checkout has no `verit` on the path,
 * only npm's scripts.
 */
const SCRIPTS: readonly (string | undefined)[] = ['start', 'verit']

export const inCheckout =
  SCRIPTS.includes(process.env['npm_lifecycle_event']) && process.env['npm_package_name'] === 'verit'

export const commandName = inCheckout ? 'npm run verit --' : 'verit'
