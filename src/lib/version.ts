/**
 * The version of this package: a constant, so that it is also right in a program that a bundler has put Verit into. A
 * test compares it with package.json.
 */
export const VERSION = '0.1.0'
