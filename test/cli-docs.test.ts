/** docs/reference/cli.md, man/verit.1 and the completion scripts say what the commands say. */
// own process: it loads every command
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { cliPage, manPage } from '../scripts/cli-docs.ts'
import { commandTree } from '../src/cli/command-tree.ts'
import { completionScript } from '../src/cli/completion.ts'

const tree = await commandTree()
const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')

test('the command line page and the man page are up to date (node scripts/cli-docs.ts)', () => {
  assert.equal(read('docs/reference/cli.md'), cliPage(tree))
  assert.equal(read('man/verit.1'), manPage(tree))
})

test('no default is a path of the checkout', () => {
  assert.ok(!cliPage(tree).includes(fileURLToPath(new URL('..', import.meta.url))))
})

/** What the bash script offers for a command line. */
function completed(...words: string[]): string[] {
  const ask = `COMP_WORDS=(verit "$@"); COMP_CWORD=$#; _verit; printf '%s\\n' "\${COMPREPLY[@]}"`
  const script = `${completionScript('bash', tree)}\n${ask}`
  const { stdout, status, stderr } = spawnSync('bash', ['-c', script, 'bash', ...words], { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  return stdout.split('\n').filter(line => line !== '')
}

test('bash completes commands, their commands, options and listed values', () => {
  assert.deepEqual(completed('gen'), ['generate'])
  assert.deepEqual(completed('keys', 'ro'), ['rotate'])
  assert.deepEqual(completed('model', 'trust', ''), ['add', 'remove', 'list'])
  assert.deepEqual(completed('keys', 'create', '--sig'), ['--signing'])
  assert.deepEqual(completed('keys', 'create', '--signing', ''), ['never', 'optional', 'required'])
  assert.deepEqual(completed('chat', 'model'), [])
})

for (const shell of ['bash', 'zsh', 'fish'] as const) {
  const missing = spawnSync(shell, ['--version']).status !== 0
  test(`${shell} accepts its script`, { skip: missing && `${shell} is not installed` }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'verit-completion-'))
    try {
      writeFileSync(join(folder, 'script'), completionScript(shell, tree))
      const { status, stderr } = spawnSync(shell, ['-n', join(folder, 'script')], { encoding: 'utf8' })
      assert.equal(status, 0, stderr)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
}
