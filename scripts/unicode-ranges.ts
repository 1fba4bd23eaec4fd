/**
 * Prints src/tokenizer/unicode-ranges.ts from the Unicode data of the Node that runs it:
 *   node scripts/unicode-ranges.ts > src/tokenizer/unicode-ranges.ts
 * Run it with another Unicode version only on purpose: it changes the words of texts that hold newly assigned characters.
 */

function ranges(property: RegExp): string[] {
  const numbers: number[] = []
  let end = 0
  for (let p = 0; p < 0x110000;) {
    if (!property.test(String.fromCodePoint(p))) {
      p++
      continue
    }
    const start = p
    while (p < 0x110000 && property.test(String.fromCodePoint(p))) p++
    numbers.push(start - end, p - start)
    end = p
  }
  const lines: string[] = []
  let line = ''
  for (const n of numbers) {
    const word = n.toString(36)
    if (line.length + 1 + word.length > 140) {
      lines.push(line)
      line = ''
    }
    line += line === '' ? word : ` ${word}`
  }
  return [...lines, line]
}

const list = (lines: string[]): string => lines.map(l => `  '${l}',\n`).join('')

process.stdout.write(`/**
 * Letters (general category L) and numbers (N) of Unicode ${process.versions['unicode']}, so that tokenization does not depend on the Unicode version of
 * the JavaScript engine. Alternately the code points to pass over and the code points to take, in base 36. Made by
 * scripts/unicode-ranges.ts.
 */

export const UNICODE_VERSION = '${process.versions['unicode']}'

export const letters: readonly string[] = [
${list(ranges(/^\p{L}$/u))}]

export const numbers: readonly string[] = [
${list(ranges(/^\p{N}$/u))}]
`)
