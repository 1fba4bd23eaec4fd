/**
 * Indices of a vector from the largest value down, equal values by the lower index, as far as they are asked for: a heap, so that the first k of n
 * cost n + k log n steps. With k near n it is no slower than sorting.
 */

/** @param values no NaN; must not change while the order is read. @param count how many of the first elements take part */
export function* descending(values: ArrayLike<number>, count: number = values.length): Generator<number, void> {
  const heap = Int32Array.from({ length: count }, (_, i) => i)
  let n = count
  const before = (a: number, b: number): boolean => values[a]! > values[b]! || (values[a] === values[b] && a < b)
  const sink = (i: number): void => {
    const moved = heap[i]!
    for (;;) {
      let child = 2 * i + 1
      if (child >= n) break
      if (child + 1 < n && before(heap[child + 1]!, heap[child]!)) child++
      if (!before(heap[child]!, moved)) break
      heap[i] = heap[child]!
      i = child
    }
    heap[i] = moved
  }
  for (let i = (n >> 1) - 1; i >= 0; i--) sink(i)
  while (n > 0) {
    yield heap[0]!
    heap[0] = heap[--n]!
    if (n > 0) sink(0)
  }
}
