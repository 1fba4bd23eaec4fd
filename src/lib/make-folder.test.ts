import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { VeritError } from './errors.ts'
import { makeFolder } from './make-folder.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-folder-'))
after(() => rmSync(dir, { recursive: true }))
const main = fileURLToPath(new URL('../cli/main.ts', import.meta.url))

test('folders are made down to the last, with the mode asked for; the topmost new one is given back', () => {
  const path = join(dir, 'a', 'b', 'c')
  assert.equal(makeFolder(path, { ownerOnly: true }), join(dir, 'a'))
  assert.equal(makeFolder(path), undefined)
  if (process.platform !== 'win32') assert.equal(statSync(path).mode & 0o777, 0o700)
})

test('a file or a dangling link in the way is an error that names the path', () => {
  writeFileSync(join(dir, 'file'), '')
  symlinkSync(join(dir, 'nowhere'), join(dir, 'link'))
  for (const path of ['file', 'file/below', 'link', 'link/below']) {
    const wanted = join(dir, path)
    const named = (e: unknown): boolean => VeritError.is(e, 'VERIT_FILE_IO') && e.fields.path === wanted
    assert.throws(() => makeFolder(wanted), named, path)
  }
})

const skip = process.platform !== 'linux' && 'there is no procfs here'
test('commands that make a folder where mkdir says ENOENT end with an error', { skip }, () => {
  writeFileSync(join(dir, 'text.txt'), 'Some words to learn from. '.repeat(100))
  const commands = [
    ['keys', 'create', '--name', 'a', '--state', '/proc/x/y'],
    ['prepare', join(dir, 'text.txt'), '--out', '/proc/x/y']
  ]
  for (const args of commands) {
    const ended = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8', timeout: 20_000 })
    const { status, signal, stderr } = ended
    assert.deepEqual([status, signal, stderr.includes('/proc/x')], [1, null, true], `${args.join(' ')}: ${stderr}`)
  }
})

test('nothing else makes folders recursively', () => {
  const src = fileURLToPath(new URL('..', import.meta.url))
  const sources = readdirSync(src, { recursive: true, encoding: 'utf8' })
  const own = sources.filter(f => f.endsWith('.ts') && !f.endsWith('.test.ts'))
  const wrong = own.filter(f => /mkdir(Sync)?\([^\n]*recursive/.test(readFileSync(join(src, f), 'utf8')))
  assert.deepEqual(wrong, [])
})
