import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { shellPath, shellWord } from './shell-word.ts'

const HARD = [
  '',
  'my run',
  "it's",
  '$(rm -rf x)',
  '`x`',
  'a;b',
  '~',
  '*',
  '-x',
  '--',
  '\\',
  'a\\',
  '!!',
  '#',
  'a=b',
  '\n',
  'a\tb',
  '\u001b[2J',
  '\u202e',
  "'\n'",
  'ÄÖ 語'
]

test('a shell reads each word as the text it was made from, and a word holds nothing that a terminal acts on', () => {
  const any = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary-ascii' }), fc.constantFrom(...HARD))
  const texts = [...HARD, ...fc.sample(any, 300)].filter(text => !text.includes('\0'))
  const words = texts.map(shellWord)
  for (const word of words) assert.ok(!/[\p{Cc}\p{Cf}]/u.test(word), word)
  const read = (shell: string, list: readonly string[]): string[] => {
    const { stdout, stderr } = spawnSync(shell, ['-c', `printf '%s\\0' ${list.join(' ')}`], { encoding: 'utf8' })
    assert.equal(stderr, '')
    return stdout.split('\0').slice(0, -1)
  }
  // $'...' reached POSIX in 2024; older shells such as dash do not read it.
  assert.deepEqual(read('bash', words), texts)
  const portable = texts.filter((_, i) => !words[i]!.startsWith('$'))
  assert.deepEqual(read('sh', portable.map(shellWord)), portable)
})

test('a path is never an option', () => {
  assert.deepEqual(['-rf', 'a b', 'runs/x'].map(shellPath), ['./-rf', "'a b'", 'runs/x'])
})

/** Values in commands that are words of a shell whatever they hold: ids, digests, names from a list. */
const WORDS = [
  'after.id',
  'key.id',
  'digest',
  'workload',
  'body',
  'f.user',
  'user',
  'mend',
  "kind === 'folder' ? '700' : '600'"
]

test('every command in a message quotes the paths in it', () => {
  const src = new URL('../', import.meta.url)
  const sources = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(f => /(?<!\.test)\.ts$/.test(f))
  // From the command to the first value in it, within one literal. A comma belongs to a sentence.
  const command = /(?:\bverit [a-z]+|\bchmod|\bchown|\$\{commandName\} [a-z]+)[^`'"\n$\\,]*\$\{([^}]*)\}/g
  const bare = sources.flatMap(file =>
    [...readFileSync(new URL(file, src), 'utf8').matchAll(command)]
      .filter(([, value]) => !/^shell(Path|Word)\(/.test(value!) && !WORDS.includes(value!))
      .map(m => `${file}: ${m[0]}`)
  )
  assert.deepEqual(bare, [])
})
