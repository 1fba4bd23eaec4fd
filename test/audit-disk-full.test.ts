/**
 * A disk that is full, as a process sees it whose files may not grow beyond a limit (RLIMIT_FSIZE), and that has room
 * again later. Linux.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { readEntries } from '../src/audit/reader.ts'
import { verifyLog } from '../src/audit/verify.ts'
import { withLogFolder } from './audit-entries.ts'

const writer = fileURLToPath(new URL('audit-full-process.ts', import.meta.url))
const able = process.platform === 'linux' && spawnSync('prlimit', ['--version']).status === 0

test('a full disk refuses entries, leaves none by half, and is survived without a restart', { skip: !able }, () =>
  withLogFolder(async folder => {
    // The soft limit only: it can be raised again from outside. The signal of the limit is ignored, so that writes fail
    // instead.
    const child = spawn(
      'bash',
      ['-c', 'trap "" XFSZ; ulimit -S -f 40; exec "$0" "$@"', process.execPath, writer, folder],
      { stdio: ['pipe', 'pipe', 'inherit'] }
    )
    let out = ''
    const acknowledged: [number, number][] = []
    let refused = 0
    for await (const chunk of child.stdout) {
      out += String(chunk)
      for (let end = out.indexOf('\n'); end >= 0; end = out.indexOf('\n')) {
        const [kind, a, b] = out.slice(0, end).split(' ')
        out = out.slice(end + 1)
        if (kind === 'entry') acknowledged.push([Number(a), Number(b)])
        else {
          assert.equal(a, 'VERIT_AUDIT')
          refused++
        }
        if (refused === 3) {
          assert.equal(spawnSync('prlimit', ['--pid', String(child.pid), '--fsize=unlimited:unlimited']).status, 0)
          child.stdin.end() // tells it that there is room again
          refused++
        }
      }
    }
    assert.ok(refused > 3 && acknowledged.length > 60, `${refused} refused, ${acknowledged.length} written`)
    const { problems, size, uncovered } = await verifyLog(folder)
    assert.deepEqual([problems, size, uncovered], [[], acknowledged.length, 0])
    const found = [...readEntries(folder)].map(({ index, entry }) => [
      entry.type === 'request' ? Number(entry.request.slice(4)) : -1,
      index
    ])
    assert.deepEqual(found, acknowledged)
  })
)
