/** The command as a user types it, for suggestions: in a checkout, `verit` is not on the path, only npm's scripts. */
const SCRIPTS: readonly (string | undefined)[] = ['start', 'verit']

export const inCheckout =
  SCRIPTS.includes(process.env['npm_lifecycle_event']) && process.env['npm_package_name'] === 'verit'

export const commandName = inCheckout ? 'npm run verit --' : 'verit'
