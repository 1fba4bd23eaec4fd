/**
 * Walks the text of a tokenizer.json before it is built: nesting is bounded, and no name stands twice in one object, for two programs could then read
 * two vocabularies from one file. What is not JSON at all is left for the parser to refuse.
 */

/** A tokenizer.json needs six. */
const DEPTH = 16

/** @param refuse is called with the first fault and the index where it stands, and does not come back */
export function scanJson(text: string, refuse: (problem: string, index: number) => never): void {
  const stack: (Set<string> | undefined)[] = []
  let nameNext = false
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
    if (c === '"') {
      const end = endOfString(text, i)
      if (end < 0) refuse('a string does not end', i)
      const names = stack.at(-1)
      if (nameNext && names !== undefined) {
        const name = unquote(text.slice(i, end + 1)) ?? refuse('a name holds a control character or a wrong escape', i)
        if (names.has(name)) refuse('a name stands twice in one object', i)
        names.add(name)
      }
      nameNext = false
      i = end
    } else if (c === '{' || c === '[') {
      if (stack.push(c === '{' ? new Set() : undefined) > DEPTH) refuse(`it is nested more than ${DEPTH} deep`, i)
      nameNext = c === '{'
    } else if (c === '}' || c === ']') {
      stack.pop()
      nameNext = false
    } else if (c === ',') nameNext = stack.at(-1) !== undefined
  }
}

function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === '"') return i
  }
  return -1
}

function unquote(quoted: string): string | undefined {
  try {
    return JSON.parse(quoted) as string
  } catch {
    return undefined
  }
}
