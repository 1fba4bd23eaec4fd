import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { veritSync } from '../../test/cli.ts'
import { commands } from './commands.ts'

const main = fileURLToPath(new URL('main.ts', import.meta.url))

test('wrong usage of any command ends with status 2 and points to its help; status 1 means a failed check', () => {
  for (const args of [
    ['audit', 'verify', '--tpyo'],
    ['keys', 'lst'],
    ['serve', '--port', 'x']
  ]) {
    const { status, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' })
    assert.deepEqual([status, stderr.includes('--help')], [2, true], args.join(' '))
  }
  assert.equal(spawnSync(process.execPath, [main, 'keys', '--help']).status, 0)
})

test('the list of commands has the summary of each', () => {
  for (const [name, { summary }] of Object.entries(commands)) {
    const source = readFileSync(new URL(`${name}.ts`, import.meta.url), 'utf8')
    const [, literal] = /\.summary\(\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")/.exec(source)!
    assert.equal(literal!.slice(1, -1).replaceAll('\\', ''), summary, name)
  }
})

/** The names of our modules that a command line loads, and what it prints. */
function loadedBy(...args: string[]): { files: string[]; text: string; status: number | null } {
  const hook = `import { registerHooks } from 'node:module'
    registerHooks({
      load(url, context, next) {
        if (url.includes('/src/')) process.stderr.write('loaded ' + url + '\\n')
        return next(url, context)
      },
    })`
  const preload = `data:text/javascript,${encodeURIComponent(hook)}`
  const words = ['--import', preload, main, ...args]
  const { stdout, stderr, status } = spawnSync(process.execPath, words, { encoding: 'utf8' })
  return { files: [...stderr.matchAll(/^loaded .*\/src\/(.*)$/gm)].map(m => m[1]!), text: stdout + stderr, status }
}

test('lists, the version and typos load no command, and a command loads no other', () => {
  const isCommand = (file: string): boolean => Object.keys(commands).some(name => file === `cli/${name}.ts`)
  const light = [
    [['--help'], /^ {2}tune /m, 0],
    [['--version'], /^verit \d+\.\d+\.\d+\n/m, 0],
    [['trian'], /Did you mean train\?/, 2]
  ] as const
  for (const [args, expected, status] of light) {
    const { files, text, ...ended } = loadedBy(...args)
    assert.match(text, expected)
    assert.equal(ended.status, status)
    assert.deepEqual(files.filter(isCommand), [], args.join(' '))
  }
  const { files, text } = loadedBy('help', 'keys')
  assert.match(text, /^Usage: verit keys /m)
  assert.deepEqual(files.filter(isCommand), ['cli/keys.ts'])
})

test('a current folder that was removed is one sentence', { skip: process.platform === 'win32' }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'verit-gone-'))
  const line = 'rmdir "$PWD"; exec "$0" "$1" keys list --state x'
  const { status, stderr } = spawnSync('sh', ['-c', line, process.execPath, main], { cwd: dir, encoding: 'utf8' })
  assert.equal(status, 2)
  assert.match(stderr, /^verit: There is no file or folder \. \(the current folder, which was removed\)\..*\n$/)
})

test('an empty name of a file or folder is refused by every command that takes one', () => {
  for (const args of [
    ['prepare', 'x.txt', '--out', ''],
    ['train', 'x.txt', '--out', ''],
    ['prepare', '', '--out', 'x'],
    ['prepare', 'x.txt', '', '--out', 'x'],
    ['generate', '', 'x'],
    ['chat', ''],
    ['eval', '', 'x'],
    ['inspect', ''],
    ['inspect', '--strict', ''],
    ['convert', '', 'x.gguf'],
    ['convert', 'x.gguf', ''],
    ['serve', '', '--check'],
    ['serve', '--config', ''],
    ['tokenizer', 'encode', '-t', '', '--text', 'x'],
    ['doctor', '--model', ''],
    ['model', 'digest', '']
  ]) {
    const { status, stderr } = veritSync(args, { refusedEarly: true })
    assert.match(
      `${status} ${stderr}`,
      /^2 verit: The name given for \S+ is empty\. .*\[VERIT_USAGE\]\n$/,
      args.join(' ')
    )
  }
})

test('a path that the file system refuses is one clear sentence in every command that looks at it', () => {
  const long = 'x'.repeat(300)
  for (const args of [
    ['tokenizer', 'encode', '-t', long, '--text', 'x'],
    ['prepare', 'package.json', '--out', long],
    ['model', 'verify', long, '--policy', 'none'],
    ['doctor', '--model', long, '--state', 'none'],
    ['inspect', long],
    ['convert', long, 'x.gguf'],
    ['train', '--resume', long],
    ['serve', long, '--check']
  ]) {
    const { stderr } = veritSync(args)
    assert.match(stderr, /^verit: .*\[VERIT_\w+\]\n$/, args.join(' '))
  }
})
