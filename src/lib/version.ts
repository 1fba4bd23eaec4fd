/**
 * The version of this package, as a constant, so that bundled programs have it too. A test compares it with
 * package.json.
 */
export const VERSION = '0.1.0'

/** The version of the arithmetic contract, docs/internals/arithmetic.md. Records and model files name it. */
export const ARITHMETIC_CONTRACT = 1
