/** A run in a person's hands: sampled, moved, resumed by the printed command, compared. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { MAIN, veritSync } from '../../test/cli.ts'

const root = mkdtempSync(join(tmpdir(), 'verit-cli-runs-'))
after(() => rmSync(root, { recursive: true }))

interface Ran {
  status: number | null
  stdout: string
  stderr: string
}

const verit = (...args: string[]): Ran => veritSync(args, { cwd: root })

/** Runs a command that was printed, as a person pastes it. */
function paste(command: string): Ran {
  const script = `verit() { "${process.execPath}" "${MAIN}" "$@"; }\n${command}`
  return spawnSync('sh', ['-c', script], { encoding: 'utf8', cwd: root })
}

const text = Array.from({ length: 800 }, (_, i) => `${(i * 7919) % 1000} goats or ${(i * i) % 97}\r\n`).join('')
writeFileSync(join(root, 'text.txt'), `\ufeff${text}`)
const small = '--preset shakespeare --layers 1 --hidden 16 --heads 2 --context 16 --threads 1 --eval-tokens 500'.split(
  ' '
)

test('a run is sampled before its end, moved, finished and sampled again by the printed commands', () => {
  const length = '--steps 40 --eval-every 20 --stop-at 30'.split(' ')
  const stopped = verit('train', 'text.txt', '--out', "my 'run'", ...small, ...length)
  assert.equal(stopped.status, 0, stopped.stderr)
  assert.match(stopped.stderr, /^model {4}gpt, 1 layer.*\ndata {5}[^]*40 steps of 192.*stopping after step 30\n/)
  assert.match(stopped.stderr, /^time {5}about .* for 30 steps/m)
  const again = /Stopped after step 30 of 40\. Go on with: (verit train --resume .*)$/m.exec(stopped.stderr)![1]!

  const greedy = '--max-tokens 50 --temperature 0 --threads 1 --json'.split(' ')
  const sampled = verit('generate', "my 'run'", 'goats', ...greedy)
  assert.match(sampled.stderr, /^Checkpoint of step 30 of 40 of the run my 'run'\.$/m)
  const { contextFull, reason } = JSON.parse(sampled.stdout) as { contextFull: boolean; reason: string }
  assert.deepEqual([contextFull, reason], [true, 'length'])

  renameSync(join(root, "my 'run'"), join(root, "my 'moved' run"))
  const resumed = paste(`${again.replace('run', 'moved').replace(/'$/, " run'")} --threads 1`)
  assert.equal(resumed.status, 0, resumed.stderr)
  const tried = paste(`${/^Try it: (.*)$/m.exec(resumed.stdout)![1]!} --temperature 0 --threads 1`)
  assert.equal(tried.status, 0, tried.stderr)
  assert.match(tried.stderr, /^The text ends because the context of 16 tokens is full\.$/m)
  assert.doesNotMatch(tried.stderr, /--seed/) // nothing is drawn at temperature 0

  const compared = verit('compare', "my 'moved' run")
  assert.match(compared.stdout, /^run +model +parameters.*\nmy-moved-run +gpt +\d,\d{3} +40\/40 .*\nPicture: compare/)
  assert.match(readFileSync(join(root, 'compare.svg'), 'utf8'), /verit compare.*[^]*my-moved-run/)
})

test('a dry run tells what a run takes, and leaves nothing behind', () => {
  const before = readdirSync(root)
  const { stdout, stderr, status } = verit('train', 'text.txt', ...small, '--steps', '400', '--dry-run')
  assert.equal(status, 0, stderr)
  assert.match(stdout, /^model {4}gpt[^]*400 steps of 192 tokens[^]*\ntime {5}about .* for 400 steps: .* each/)
  assert.match(stdout, /\nNothing was trained or written\.\n$/)
  assert.deepEqual(readdirSync(root), before)
  assert.equal(existsSync(join(root, 'runs')), false)
})
