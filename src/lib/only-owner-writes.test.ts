import assert from 'node:assert/strict'
import { chmodSync, chownSync, closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { VeritError } from './errors.ts'
import { checkOnlyOwnerWrites } from './only-owner-writes.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-owner-'))
const path = join(dir, 'x.gguf')
const fd = openSync(path, 'w', 0o600)
after(() => {
  closeSync(fd)
  rmSync(dir, { recursive: true })
})
/** What is said of a file of `owner` when `user` runs this; undefined: it may be used. */
function said(owner: number, user: number): string | undefined {
  chownSync(path, owner, owner)
  process.seteuid!(user)
  try {
    checkOnlyOwnerWrites(fd, path)
    return undefined
  } catch (e) {
    assert.ok(VeritError.is(e, 'VERIT_OTHERS_OWN'))
    return `${e.what}. ${e.next}`
  } finally {
    process.seteuid!(0)
  }
}

test('a file that the group or everybody may write to is refused', { skip: process.platform === 'win32' }, () => {
  for (const [mode, ok] of [[0o600, true], [0o644, true], [0o400, true], [0o620, false], [0o602, false]] as const) {
    chmodSync(path, mode)
    if (ok) checkOnlyOwnerWrites(fd, path)
    else assert.throws(() => checkOnlyOwnerWrites(fd, path), (e: unknown) => VeritError.is(e, 'VERIT_OTHERS_WRITE'))
  }
  chmodSync(path, 0o600)
})

test("a file of this process's user or of root may be used, one of another user is refused, also by root", { skip: process.geteuid?.() === 0 ? false : 'only root can give files away' }, () => {
  for (const [owner, user] of [[0, 0], [0, 12345], [12345, 12345]] as const) assert.equal(said(owner, user), undefined)
  assert.match(said(12346, 12345)!, /belongs to another user \(user id 12346\).*chown 12345 /s)
  assert.match(said(12345, 0)!, /chown 0 /)
})
