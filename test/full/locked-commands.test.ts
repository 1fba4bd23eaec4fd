/** All commands that lock themselves before they run a model file: see test/locked-commands.test.ts. */
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { lockedCommands } from '../../src/cli/commands.ts'
import { addon } from '../../src/exec/native.ts'
import { locked } from '../locked.ts'
import { tinyModel } from '../served.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-all-locked-'))
after(() => rmSync(dir, { recursive: true }))
const model = await tinyModel(dir, 16_384)
const text = join(dir, 'text.txt')
writeFileSync(text, 'Some text to be measured. '.repeat(4000))
const skip = process.platform !== 'linux' || addon() === undefined ? 'nothing is locked here' : false
/** Long enough to be looked at. */
const words: Readonly<Record<string, readonly string[]>> = {
  generate: [model, 'x', '--ignore-end-of-text', '--max-tokens', '16000'],
  chat: [model],
  embed: [model, ...Array.from({ length: 200 }, (_, i) => `${i} ${'word '.repeat(200)}`)],
  eval: [model, text],
  bench: ['--model', model],
  tune: ['--model', model]
}

for (const name of lockedCommands) {
  test(`${name} is locked while it runs a model`, { skip }, async () => {
    const child = await locked([name, ...words[name]!], 'ignore')
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
}
