import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { digestBytes, digestDescriptor, digestFile, isDigest } from './digest.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-digest-'))
after(() => rmSync(dir, { recursive: true }))

test('the digest of "abc" and of nothing are those of FIPS 180-4', () => {
  assert.equal(digestBytes('abc'), 'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  assert.equal(digestBytes(new Uint8Array()), 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
})

test('a file larger than a chunk hashes to the digest of its bytes, wherever the descriptor stands', async () => {
  const data = Buffer.alloc(2_500_001, 'verit')
  const path = join(dir, 'a')
  writeFileSync(path, data)
  let last = 0
  assert.equal(await digestFile(path, { onProgress: done => void (last = done) }), digestBytes(data))
  assert.equal(last, data.length)
  const fd = openSync(path, 'r')
  readSync(fd, Buffer.alloc(100), 0, 100, null)
  assert.equal(await digestDescriptor(fd, path), digestBytes(data))
  closeSync(fd)
})

test('a file that grows while it is hashed, a pipe and a missing file are errors', async () => {
  const path = join(dir, 'b')
  writeFileSync(path, Buffer.alloc(3_000_000))
  const grow = (): void => writeFileSync(path, 'x', { flag: 'a' })
  await assert.rejects(digestFile(path, { onProgress: grow }), (e: unknown) => VeritError.is(e, 'VERIT_FILE_IO'))
  execFileSync('mkfifo', [join(dir, 'pipe')])
  await assert.rejects(digestFile(join(dir, 'pipe')), (e: unknown) => VeritError.is(e, 'VERIT_FILE_KIND'))
  await assert.rejects(digestFile(join(dir, 'none')), (e: unknown) => VeritError.is(e, 'VERIT_FILE_NOT_FOUND'))
})

test('only the exact form is a digest', () => {
  assert.ok(isDigest(digestBytes('')))
  for (const bad of ['', 'sha256:', `sha256:${'A'.repeat(64)}`, `sha256:${'0'.repeat(64)}\n`, '0'.repeat(64), 1])
    assert.equal(isDigest(bad), false)
})
