import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { MAIN, veritSync } from '../../test/cli.ts'
import type { Ended } from '../../test/cli.ts'
import type { RecordFile } from '../train/record.ts'

const root = mkdtempSync(join(tmpdir(), 'verit-cli-train-'))
after(() => rmSync(root, { recursive: true }))

const verit = (...args: string[]): Ended => veritSync(args, { cwd: root })
const refused = (...args: string[]): Ended => veritSync(args, { cwd: root, refusedEarly: true })

writeFileSync(
  join(root, 'text.txt'),
  Array.from({ length: 2000 }, (_, i) => `${(i * 7919) % 1000} or ${(i * i) % 97}\n`).join('')
)
const small = '--preset shakespeare --layers 1 --hidden 16 --heads 2 --context 16 --threads 1 --eval-tokens 500'.split(
  ' '
)

test('a text file becomes a model in one command, and eval finds the loss of training again', () => {
  const trained = verit('train', 'text.txt', '--out', 'run', ...small, '--steps', '20', '--json')
  assert.equal(trained.status, 0, trained.stderr)
  const { record, model } = JSON.parse(trained.stdout) as RecordFile
  assert.equal(record.final.step, 20)
  assert.equal(record.options.lr, 1e-3)
  const evaluated = verit('eval', 'run/model.gguf', 'run/data', '--json', '--instruction-set', 'reference')
  const again = JSON.parse(evaluated.stdout) as { loss: number; reproducesTraining: boolean }
  assert.equal(again.loss, record.exported.validation!.loss)
  assert.equal(again.reproducesTraining, true)
  const text = verit('eval', 'run/model.gguf', 'text.txt', '--tokens', '100')
  assert.match(text.stdout, /^text\.txt: 112 tokens\n/)
  assert.match(verit('inspect', 'run/model.gguf', '--json').stdout, new RegExp(model.sha256))
  const twice = verit('train', 'text.txt', '--out', 'run', ...small)
  assert.equal(twice.status, 2)
  assert.match(twice.stderr, /VERIT_RUN_EXISTS/)
})

test('Ctrl-C saves, says how to resume, and exits with 130; what resumes is the same run', async () => {
  assert.equal(verit('prepare', 'text.txt', '--out', 'data', '--tokenizer-kind', 'character').status, 0)
  const long = ['--steps', '100000', '--eval-every', '50000']
  const child = spawn(process.execPath, [MAIN, 'train', 'data', '--out', 'stopped', ...small, ...long], { cwd: root })
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => void (stderr += chunk.toString()))
  const ended = new Promise<number | null>(resolve => child.once('exit', resolve))
  for (let steps = 0; steps < 3;) {
    await new Promise(resolve => setTimeout(resolve, 50))
    try {
      steps = readFileSync(join(root, 'stopped/log.jsonl'), 'utf8').split('\n').length
    } catch {
      /* not begun */
    }
    assert.equal(child.exitCode, null, stderr)
  }
  child.kill('SIGINT')
  assert.equal(await ended, 130, stderr)
  const step = Number(/step (\d+) of 100,000 is saved\. Go on with: verit train --resume stopped\./.exec(stderr)?.[1])
  assert.ok(step > 0, stderr)
  const resumed = verit('train', '--resume', 'stopped', '--stop-at', String(step + 2), '--threads', '1')
  assert.match(resumed.stderr, new RegExp(`Stopped after step ${step + 2} of 100,000`))
  assert.match(verit('train', '--resume', 'stopped', '--lr', '1').stderr, /--lr cannot be given with --resume/)
})

test('mistakes are one sentence and exit status 2', () => {
  for (const [args, message] of [
    [['train'], /No training data/],
    [['train', 'none.txt'], /There is no file or folder none\.txt/],
    [['train', 'text.txt', '--preset', 'giant', '--out', 'x'], /no preset "giant"/],
    [
      ['train', 'text.txt', '--hidden', '17', '--tokenizer-kind', 'character', '--out', 'x'],
      /hidden must be a multiple of heads/
    ],
    [
      ['train', 'text.txt', '--lr', '-1', '--tokenizer-kind', 'character', '--out', 'x'],
      /--lr must be a number above 0/
    ],
    [['train', '--resume', 'nowhere'], /nowhere/],
    [['eval', 'none.gguf', 'text.txt'], /There is no file or folder none\.gguf/],
    [['eval', 'run/model.gguf', 'none.txt'], /There is no file or folder none\.txt/]
  ] as const) {
    const { status, stderr } = refused(...args)
    assert.equal(status, 2, stderr)
    assert.match(stderr, message)
    assert.equal(stderr.trim().split('\n').length, 1, stderr)
  }
  // A refused run leaves no folder behind.
  assert.equal(existsSync(join(root, 'x')), false)
})

test('what a dataset or a resumed run has settled already cannot be asked for again', () => {
  assert.match(
    verit('train', 'data', '--out', 'other', '--vocab-size', '300').stderr,
    /--vocab-size cannot be given with a dataset/
  )
  assert.match(
    verit('train', '--resume', 'stopped', '--tokenizer-kind', 'bpe').stderr,
    /--tokenizer-kind cannot be given with --resume/
  )
  assert.match(verit('train', 'missing.txt', '--out', 'never').stderr, /no file or folder missing\.txt/)
  assert.equal(existsSync(join(root, 'never')), false)
})

test('commands that are suggested can be typed: inside npm scripts of the checkout they go through npm', () => {
  const env = { ...process.env, npm_lifecycle_event: 'verit', npm_package_name: 'verit' }
  const ran = spawnSync(
    process.execPath,
    [MAIN, 'prepare', 'text.txt', '--out', 'typed', '--tokenizer-kind', 'character'],
    { encoding: 'utf8', cwd: root, env }
  )
  assert.match(ran.stdout, /Train on it: npm run verit -- train typed\n$/)
})
