/** Repeatable random whole numbers for tests: xorshift32 (Marsaglia 2003). `numbers(seed)(limit)` is 0 to limit - 1. */
export function numbers(seed: number): (limit: number) => number {
  let x = seed
  return limit => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return (x >>> 0) % limit
  }
}
