import assert from 'node:assert/strict'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from './errors.ts'
import { isSecretMount } from './secret-mount.ts'
import { objectionTo, openTrusted, readTrusted } from './trusted-file.ts'
import type { FileClass } from './trusted-file.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-trusted-'))
after(() => rmSync(dir, { recursive: true }))
const path = join(dir, 'a file')
writeFileSync(path, 'content')
const posix = { skip: process.platform === 'win32' && 'Windows has no such modes' }
const asRoot = { skip: process.geteuid?.() === 0 ? false : 'only root can give files away' }

/** The code of the error, or `ok`. */
function outcome(kind: FileClass): string {
  try {
    openTrusted(path, { kind, purpose: 'a test' }).close()
    return 'ok'
  } catch (e) {
    assert.ok(VeritError.is(e))
    return e.code
  }
}

test('each class refuses the permissions it forbids, and says which and what to run', posix, () => {
  const table = [
    // mode, secret, decides, state
    [0o600, 'ok', 'ok', 'ok'],
    [0o400, 'ok', 'ok', 'ok'],
    [0o640, 'VERIT_OTHERS_READ', 'ok', 'VERIT_STATE'],
    [0o604, 'VERIT_OTHERS_READ', 'ok', 'VERIT_STATE'],
    [0o644, 'VERIT_OTHERS_READ', 'ok', 'VERIT_STATE'],
    [0o620, 'VERIT_OTHERS_READ', 'VERIT_OTHERS_WRITE', 'VERIT_STATE'],
    [0o602, 'VERIT_OTHERS_READ', 'VERIT_OTHERS_WRITE', 'VERIT_STATE'],
    [0o666, 'VERIT_OTHERS_READ', 'VERIT_OTHERS_WRITE', 'VERIT_STATE']
  ] as const
  for (const [mode, ...expected] of table) {
    chmodSync(path, mode)
    assert.deepEqual((['secret', 'decides', 'state'] as const).map(outcome), expected, mode.toString(8))
  }
  const says = (kind: FileClass): string => {
    try {
      readTrusted(path, { kind, purpose: 'a test', limit: 100 })
      return ''
    } catch (e) {
      return (e as Error).message
    }
  }
  const secret =
    /holds a secret, and other users can read or change it \(mode 666\)\..* chmod 600 '.*a file'; otherwise/
  assert.match(says('secret'), secret)
  assert.match(says('decides'), /Other users can change .* \(mode 666\)\. .* run chmod go-w '.*a file'\./)
  assert.match(says('state'), /others can use it \(mode 666\)\..* run chmod 600 '.*a file'; otherwise start with/)
  chmodSync(path, 0o600)
})

test('a file of this user or of root may be used, one of another user may not, by root either', asRoot, () => {
  const said = (owner: number, user: number): string => {
    chownSync(path, owner, owner)
    chownSync(dir, user, user)
    process.seteuid!(user)
    try {
      openTrusted(path, { kind: 'decides', purpose: 'a test' }).close()
      return 'ok'
    } catch (e) {
      assert.ok(VeritError.is(e, 'VERIT_OTHERS_OWN'))
      return `${e.what}. ${e.next}`
    } finally {
      process.seteuid!(0)
      chownSync(path, 0, 0)
    }
  }
  chmodSync(path, 0o644)
  for (const [owner, user] of [
    [0, 0],
    [0, 12345],
    [12345, 12345]
  ] as const)
    assert.equal(said(owner, user), 'ok')
  assert.match(said(12346, 12345), /belongs to another user \(user id 12346\).*chown 12345 /s)
  assert.match(said(12345, 0), /chown 0 /)
  chmodSync(path, 0o600)
})

test('who may own and use a file of each class, for any mode, owner and user', () => {
  const user = 12345
  const mode = fc.integer({ min: 0, max: 0o777 })
  const subject = fc.record({ mode, uid: fc.constantFrom(0, user, 12346), mounted: fc.boolean() })
  fc.assert(
    fc.property(subject, ({ mode, uid, mounted }) => {
      const may = (kind: FileClass): boolean =>
        objectionTo(kind, { path, mode, uid, user, mounted: () => mounted }) === undefined
      const [secret, decides, state] = [may('secret'), may('decides'), may('state')]
      const [othersWrite, groupReads, allRead] = [(mode & 0o022) !== 0, (mode & 0o040) !== 0, (mode & 0o004) !== 0]
      if (uid === 12346) assert.ok(!secret && !decides && !state)
      if (othersWrite) assert.ok(!secret && !decides && !state)
      assert.equal(decides, uid !== 12346 && !othersWrite)
      if (allRead) assert.equal(secret, uid === 0 && mounted && !othersWrite)
      if (groupReads && secret) assert.equal(uid, 0)
      assert.equal(state, uid === user && (mode & 0o077) === 0)
    })
  )
})

test("a secret of root's may be read by one group, or by all where a container engine mounted it", () => {
  const may = (mode: number, user: number, mounted: boolean): boolean =>
    objectionTo('secret', { path, mode, uid: 0, user, mounted: () => mounted }) === undefined
  assert.ok(may(0o440, 10001, false), 'systemd credentials, fsGroup')
  assert.ok(!may(0o440, 0, false), 'root reads it without the group')
  assert.ok(!may(0o444, 10001, false))
  assert.ok(may(0o444, 10001, true) && may(0o644, 0, true), 'Docker Swarm, Kubernetes')
  assert.ok(!may(0o666, 0, true) && !may(0o664, 10001, true))
})

test('a mount of secrets is read-only and in memory', () => {
  const fdinfo = 'pos:\t0\nflags:\t0100000\nmnt_id:\t612\nino:\t3\n'
  const mount = (id: number, options: string, type: string): string =>
    `${id} 600 0:61 / /run/secrets/verit ${options} shared:9 - ${type} tmpfs rw,size=1024k`
  const table = (line: string): string => `600 1 8:1 / / ro,relatime - ext4 /dev/sda1 rw\n${line}\n`
  assert.ok(isSecretMount(fdinfo, table(mount(612, 'ro,relatime', 'tmpfs'))))
  assert.ok(isSecretMount(fdinfo, table(mount(612, 'ro,nosuid', 'ramfs'))))
  assert.ok(!isSecretMount(fdinfo, table(mount(612, 'rw,relatime', 'tmpfs'))))
  assert.ok(!isSecretMount(fdinfo, table(mount(612, 'ro', 'ext4'))))
  assert.ok(!isSecretMount(fdinfo, table(mount(61, 'ro', 'tmpfs'))))
  assert.ok(!isSecretMount('', table(mount(612, 'ro', 'tmpfs'))) && !isSecretMount(fdinfo, ''))
})

test('what is no regular file, too long, or a link to state is refused; another link is followed', posix, () => {
  const link = join(dir, 'link')
  symlinkSync(path, link)
  mkdirSync(join(dir, 'folder'))
  assert.equal(readTrusted(link, { kind: 'secret', purpose: 'a test', limit: 7 }).toString(), 'content')
  const refused = (file: string, kind: FileClass, code: string, what: RegExp): void => {
    const isRight = (e: unknown): boolean => VeritError.is(e) && e.code === code && what.test(e.message)
    assert.throws(() => readTrusted(file, { kind, purpose: 'a test', limit: 6 }), isRight)
  }
  refused(link, 'state', 'VERIT_STATE', /is not a regular file/)
  refused(join(dir, 'folder'), 'state', 'VERIT_STATE', /is not a regular file/)
  refused(join(dir, 'folder'), 'decides', 'VERIT_FILE_KIND', /a folder/)
  refused(join(dir, 'none'), 'secret', 'VERIT_FILE_NOT_FOUND', /\(a test\)/)
  refused(path, 'decides', 'VERIT_FILE_IO', /more than 6 bytes/)
  chmodSync(path, 0o644)
  refused(link, 'secret', 'VERIT_OTHERS_READ', /mode 644/)
  chmodSync(path, 0o600)
})
