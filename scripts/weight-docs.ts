/**
 * Writes the table of tensor types in docs/internals/formats.md from `ggufTypes` and the registry of weight formats.
 * `node scripts/weight-docs.ts`; test/weight-docs.test.ts compares the page with the code.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { ggufTypes } from '../src/formats/gguf-types.ts'
import { weightTypes } from '../src/weights/registry.ts'

const BEGIN = '<!-- types: node scripts/weight-docs.ts -->\n'
const END = '<!-- end of types -->\n'

/** Weights as a formula of the fields that the page's tables of layouts describe. */
const values: Readonly<Record<string, string>> = {
  F32: 'the number',
  F16: 'the number',
  BF16: 'the number',
  Q4_0: 'd (q - 8)',
  Q4_1: 'd q + m',
  Q5_0: 'd (q - 16)',
  Q5_1: 'd q + m',
  Q8_0: 'd q',
  Q2_K: '(d s) q - (dmin m)',
  Q3_K: '(d (s - 32)) (q - 4)',
  Q4_K: '(d s) q - (dmin m)',
  Q5_K: '(d s) q - (dmin m)',
  Q6_K: '(d s) (q - 32)',
  IQ4_NL: 'd T[q]',
  IQ4_XS: '(d (s - 32)) T[q]',
  MXFP4: '2^(e - 128) E[q]',
  I2_S: 'd (q - 1)',
  TQ1_0: 'd (q - 1)',
  TQ2_0: 'd (q - 1)'
}

/** The table, one row a type, by ggml's numbers. */
export function typeTable(): string {
  const rows = Object.entries(ggufTypes)
    .sort(([, a], [, b]) => a.id - b.id)
    .map(([name, { id, block, bytes }]) => {
      const type = weightTypes.get(name)
      const writes = type?.encode !== undefined || type?.ternary !== undefined
      const use = [type && 'decodes', writes && 'encodes'].filter(Boolean).join(', ') || 'lists and copies'
      return `| ${id} | ${name} | ${block} | ${bytes} | ${values[name] ?? ''} | ${use} |\n`
    })
  const head = '| id | type | weights a block | bytes a block | weight | Verit |\n|---|---|---|---|---|---|\n'
  return head + rows.join('')
}

/** A page with the table brought up to date. */
export function withTypeTable(page: string): string {
  const from = page.indexOf(BEGIN)
  const to = page.indexOf(END)
  if (from < 0 || to < from) throw new Error('docs/internals/formats.md lacks the marks of the table of types')
  return `${page.slice(0, from)}${BEGIN}\n${typeTable()}\n${page.slice(to)}`
}

if (import.meta.main) {
  const path = new URL('../docs/internals/formats.md', import.meta.url)
  writeFileSync(path, withTypeTable(readFileSync(path, 'utf8')))
}
