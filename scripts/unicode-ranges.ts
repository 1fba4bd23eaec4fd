/**
 * Prints src/tokenizer/unicode-ranges.ts from the Unicode data of the Node that runs it:
 *   node scripts/unicode-ranges.ts > src/tokenizer/unicode-ranges.ts
 * Run it with another Unicode version only on purpose: it changes the words of texts that hold newly assigned
 * characters.
 */

/** Codes of the table, and the general categories that each stands for. `o` is the rest. */
const categories = [
  ['u', /^\p{Lu}$/u],
  ['l', /^\p{Ll}$/u],
  ['t', /^\p{Lt}$/u],
  ['m', /^\p{Lm}$/u],
  ['x', /^\p{Lo}$/u],
  ['k', /^\p{M}$/u],
  ['n', /^\p{N}$/u],
  ['p', /^\p{P}$/u],
  ['s', /^\p{S}$/u]
] as const

const codeOf = (codePoint: number): string => {
  const character = String.fromCodePoint(codePoint)
  return categories.find(([, property]) => property.test(character))?.[0] ?? 'o'
}

/**
 * Runs of equal codes in order of code point; a pair of runs that comes again at once is written once, with a count.
 */
function words(): string[] {
  const runs: string[] = []
  for (let p = 0; p < 0x110000;) {
    const code = codeOf(p)
    const start = p
    while (p < 0x110000 && codeOf(p) === code) p++
    runs.push(`${code}${p - start}`)
  }
  const out: string[] = []
  for (let i = 0; i < runs.length;) {
    let pairs = 1
    while (
      runs[i + 2 * pairs] === runs[i] &&
      runs[i + 2 * pairs + 1] === runs[i + 1] &&
      i + 2 * pairs + 1 < runs.length
    )
      pairs++
    if (pairs > 1) {
      out.push(`(${runs[i]}${runs[i + 1]})${pairs}`)
      i += 2 * pairs
    } else out.push(runs[i++]!)
  }
  return out
}

function lines(): string[] {
  const all: string[] = []
  let line = ''
  for (const word of words()) {
    if (line.length + word.length > 110) {
      all.push(line)
      line = ''
    }
    line += word
  }
  return [...all, line]
}

process.stdout.write(`/**
 * General categories of Unicode ${process.versions['unicode']}, so that tokenization does not depend on the Unicode version of the
 * JavaScript engine. Runs of code points from 0 on, each a letter and a length: u Lu, l Ll, t Lt, m Lm, x Lo, k M, n N,
 * p P, s S, o any other. \`(u1l1)12\` stands for twelve such pairs. Made by scripts/unicode-ranges.ts.
 */

export const UNICODE_VERSION = '${process.versions['unicode']}'

export const categoryRuns: readonly string[] = [
${lines()
  .map(line => `  '${line}',\n`)
  .join('')}]
`)
