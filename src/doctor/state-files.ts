/** The state folder: owner, permissions, missing files, and free space of its disk. */
import { existsSync, lstatSync, readdirSync, realpathSync, statfsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { checkPrivate } from '../lib/private-path.ts'
import { formatBytes } from '../lib/progress.ts'
import { shellPath } from '../lib/shell-word.ts'
import { note, ok, problem, warning } from './finding.ts'
import type { Finding } from './finding.ts'

const POSIX = process.platform !== 'win32'
const [LITTLE, VERY_LITTLE] = [1 << 30, 200 << 20]

/** Whether a server, or `verit keys create`, has ever used the folder. */
export const hasBegun = (state: string): boolean => existsSync(join(state, 'secret'))

export function checkStateFiles(state: string): Finding[] {
  const folder = resolve(state)
  if (!existsSync(folder)) {
    return [
      note(
        'state',
        `No server has used the state folder ${folder} yet`,
        'Name the folder of the server with --state (sudo has another home), or make a first key with `verit keys ' +
          'create`'
      )
    ]
  }
  const found = privacy(folder, 'folder')
  if (found.length > 0) return found // what is in it cannot be believed, or not be read
  found.push(
    ...readdirSync(folder, { withFileTypes: true }).flatMap(entry =>
      privacy(join(folder, entry.name), entry.isDirectory() ? 'folder' : 'file')
    )
  )
  for (const name of ['audit/key', 'audit/verifier-key'])
    if (existsSync(join(folder, name))) found.push(...privacy(join(folder, name), 'file'))
  found.push(...openParents(folder))
  if (!hasBegun(folder))
    found.push(
      note(
        'state',
        `${folder} holds no secret: no server and no key has been there`,
        'Name the folder of the server with --state, or make a first key with `verit keys create`'
      )
    )
  else if (!existsSync(join(folder, 'server-key.pem')))
    found.push(note('state', 'There is no key to sign answers with yet: the first start makes it'))
  if (!found.some(f => f.level !== 'note'))
    found.unshift(ok('state.private', `${folder} and its files belong to this user alone`))
  return [...found, diskSpace(folder)]
}

function privacy(path: string, kind: 'file' | 'folder'): Finding[] {
  try {
    checkPrivate(path, kind)
    return []
  } catch (e) {
    if (!VeritError.is(e)) throw e
    return [problem('state.private', e.what, e.next)]
  }
}

/** Whoever can rename a folder on the path can replace it. */
function openParents(folder: string): Finding[] {
  if (!POSIX) return []
  const found: Finding[] = []
  for (let at = dirname(realpathSync(folder)); ; at = dirname(at)) {
    const { mode, uid } = lstatSync(at)
    const sticky = (mode & 0o1000) !== 0
    const bits = (mode & 0o777).toString(8)
    if ((mode & 0o002) !== 0 && !sticky)
      found.push(
        problem(
          'state.parent',
          `Anyone may replace the state folder: ${at} can be changed by all (mode ${bits})`,
          `chmod o-w ${shellPath(at)}`
        )
      )
    else if ((mode & 0o020) !== 0 && !sticky)
      found.push(
        warning(
          'state.parent',
          `A group may replace the state folder: ${at} can be changed by it (mode ${bits})`,
          `chmod g-w ${shellPath(at)}, or make sure that nobody else is in that group`
        )
      )
    else if (uid !== 0 && uid !== process.geteuid!())
      found.push(
        warning(
          'state.parent',
          `Another user may replace the state folder: ${at} belongs to user id ${uid}`,
          'Keep the state below folders of root and of the user that runs the server'
        )
      )
    if (at === dirname(at)) return found
  }
}

function diskSpace(folder: string): Finding {
  const s = statfsSync(folder)
  const free = s.bavail * s.bsize
  const says = `The disk of the state folder has ${formatBytes(free)} left`
  const fix = 'Make room: where the audit log cannot be written, requests are refused'
  if (free < VERY_LITTLE || (s.files > 0 && s.ffree < 1000))
    return problem('state.disk', s.ffree < 1000 && s.files > 0 ? `${says} and ${s.ffree} inodes` : says, fix)
  return free < LITTLE ? warning('state.disk', says, fix) : ok('state.disk', says)
}
