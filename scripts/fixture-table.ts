/**
 * `node scripts/fixture-table.ts FOLDER [TYPE ...] [--decoded]`: compares every model below a folder
 * (`ARCHITECTURE/TYPE.gguf` beside what a reference computed, in `ARCHITECTURE/TYPE/`) as `npm run -s fixture` does,
 * and prints one table. A file that cannot be compared has its error as its row. With `--decoded`, matrices are
 * multiplied as the f32 values that their blocks decode to.
 */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { VeritError } from '../src/lib/errors.ts'
import { compareModel } from './fixture-model.ts'

const decoded = process.argv.includes('--decoded')
const [folder, ...types] = process.argv.slice(2).filter(word => word !== '--decoded')
if (folder === undefined) {
  process.stderr.write('usage: node scripts/fixture-table.ts FOLDER [TYPE ...] [--decoded]\n')
  process.exit(2)
}

process.stdout.write(
  '| model | mean absolute difference | % of the deviation | greedy tokens, teacher-forced |\n|---|---|---|---|\n'
)
for (const path of readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter(f => f.endsWith('.gguf'))
  .sort()) {
  const name = path.replace(/\.gguf$/, '')
  const expected = join(folder, name)
  if (!existsSync(join(expected, 'expected.json')) || (types.length > 0 && !types.includes(name.split('/').at(-1)!)))
    continue
  process.stdout.write(`| ${name} | ${await row(join(folder, path), expected)} |\n`)
}

async function row(path: string, expected: string): Promise<string> {
  try {
    const { meanAbsLogits, relativeToDeviation, sequences } = await compareModel(path, expected, { decoded })
    const greedy = sequences.flatMap(s => (s.greedy === null ? [] : [`${s.greedy.agreed} of ${s.greedy.tokens}`]))
    return `${meanAbsLogits.toExponential(2)} | ${(100 * relativeToDeviation).toFixed(2)} | ${greedy.join(', ')}`
  } catch (e) {
    if (VeritError.is(e)) return `${e.message} | | `
    throw e
  }
}
