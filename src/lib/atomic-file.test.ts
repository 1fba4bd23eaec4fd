import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync, lstatSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { AtomicFile, removeStaleTemporaries, writeFileAtomic } from './atomic-file.ts'
import { VeritError } from './errors.ts'

const root = mkdtempSync(join(tmpdir(), 'verit-atomic-'))
after(() => rmSync(root, { recursive: true }))
let count = 0
const folder = (): string => mkdtempSync(join(root, `${count++}-`))
const code =
  (expected: string) =>
  (e: unknown): boolean =>
    VeritError.is(e) && e.code === expected

test('a file appears whole on commit and leaves no temporary file', () => {
  const dir = folder()
  const file = new AtomicFile(join(dir, 'a'))
  file.write(Buffer.from('one '))
  assert.deepEqual(
    readdirSync(dir).filter(n => n === 'a'),
    []
  )
  file.write(Buffer.from('two'))
  assert.equal(file.position, 7)
  file.commit()
  assert.deepEqual(readdirSync(dir), ['a'])
  assert.equal(readFileSync(join(dir, 'a'), 'utf8'), 'one two')
})

test('a failing writer leaves the old file and no temporary file', () => {
  const dir = folder()
  writeFileAtomic(join(dir, 'a'), 'old')
  const broken = function* (): Generator<Uint8Array> {
    yield Buffer.from('new')
    throw new Error('source failed')
  }
  assert.throws(() => writeFileAtomic(join(dir, 'a'), broken()), /source failed/)
  assert.deepEqual(readdirSync(dir), ['a'])
  assert.equal(readFileSync(join(dir, 'a'), 'utf8'), 'old')
})

test('overwrite: false refuses an existing file at the start and one that appears meanwhile', () => {
  const dir = folder()
  const path = join(dir, 'a')
  const file = new AtomicFile(path, { overwrite: false })
  file.write(Buffer.from('mine'))
  writeFileSync(path, 'theirs')
  assert.throws(() => file.commit(), code('VERIT_FILE_EXISTS'))
  assert.throws(() => writeFileAtomic(path, 'mine', { overwrite: false }), code('VERIT_FILE_EXISTS'))
  assert.deepEqual(readdirSync(dir), ['a'])
  assert.equal(readFileSync(path, 'utf8'), 'theirs')
})

test('a link is kept and its target replaced; folders, pipes and dangling links are refused', () => {
  const dir = folder()
  writeFileSync(join(dir, 'real'), 'old')
  symlinkSync('real', join(dir, 'link'))
  writeFileAtomic(join(dir, 'link'), 'new')
  assert.ok(lstatSync(join(dir, 'link')).isSymbolicLink())
  assert.equal(readFileSync(join(dir, 'real'), 'utf8'), 'new')
  symlinkSync('nowhere', join(dir, 'dangling'))
  assert.throws(() => writeFileAtomic(join(dir, 'dangling'), ''), code('VERIT_FILE_NOT_FOUND'))
  assert.throws(() => writeFileAtomic(dir, ''), code('VERIT_FILE_KIND'))
  execFileSync('mkfifo', [join(dir, 'pipe')])
  assert.throws(() => writeFileAtomic(join(dir, 'pipe'), ''), code('VERIT_FILE_KIND'))
})

test(
  'a folder that takes no files is named with the file, not called missing',
  { skip: process.platform !== 'linux' },
  () => {
    assert.throws(
      () => writeFileAtomic('/proc/y.gguf', ''),
      (e: unknown) =>
        VeritError.is(e, 'VERIT_FILE_IO') &&
        /\/proc\/y\.gguf.*: (no file can be made there|permission denied)/.test(e.message)
    )
  }
)

test('a missing folder is a clear error', () => {
  assert.throws(() => writeFileAtomic(join(root, 'none', 'a'), ''), code('VERIT_FILE_NOT_FOUND'))
})

test('temporary files of killed processes are removed, those of living ones stay', () => {
  const dir = folder()
  const script = `import { AtomicFile } from ${JSON.stringify(new URL('./atomic-file.ts', import.meta.url).href)}
    new AtomicFile(process.argv[1] + '/a').write(Buffer.alloc(10)); process.kill(process.pid, 'SIGKILL')`
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script, dir])
  assert.equal(child.signal, 'SIGKILL')
  const mine = new AtomicFile(join(dir, 'b'))
  assert.equal(readdirSync(dir).length, 2)
  assert.equal(removeStaleTemporaries(dir), 1)
  mine.commit()
  assert.deepEqual(readdirSync(dir), ['b'])
})
