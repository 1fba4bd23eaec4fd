/**
 * The version of this package, as a constant, so that bundled programs have it too. A test compares it with
 * package.json.
 */
export const VERSION = '0.1.0'
