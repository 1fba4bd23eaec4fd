/**
 * The only function that opens files that hold a secret or decide something. It reads owner and permissions from the
 * open descriptor, so the checked file is the file that is read. It does not check the folders on the path: whoever can
 * replace the file there owns the replacement, which is refused. test/file-openings.test.ts lists every file that Verit
 * opens in another way, with the reason.
 */
import { fstatSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { VeritError } from './errors.ts'
import { codeUrl } from './package-root.ts'
import { openRegular } from './regular-file.ts'
import type { RegularFile } from './regular-file.ts'
import { isOnSecretMount } from './secret-mount.ts'
import { shellPath } from './shell-word.ts'

/**
 * `secret`: a secret given to Verit (password, token, private key); others may neither read nor write it. `decides`:
 * controls what Verit trusts, serves or does (configuration, policy, certificate, public key, model); others may not
 * write it. `state`: Verit's own file in a state folder; only this user may use it, and it is not a link.
 */
export type FileClass = 'secret' | 'decides' | 'state'

/** Permission bits that each class forbids. */
const forbidden: Readonly<Record<FileClass, number>> = { secret: 0o077, decides: 0o022, state: 0o077 }

/** The private classes. */
const modes = { file: '600', folder: '700' } as const

/**
 * The owner of the code can do anything already: so a package that one user installed and another runs keeps its
 * default model.
 */
const codeOwner = statSync(fileURLToPath(codeUrl)).uid

/** Why a file may not be used. */
export interface Objection {
  /** A predicate: `can be changed by others (mode 664)`. */
  readonly problem: string
  /** The same as a clause: `others can change it (mode 664)`. */
  readonly clause: string
  /** The command that repairs it, if the content is right: `chmod go-w FILE`. */
  readonly command: string
  /** The error, unless the caller has one that names the setting. */
  readonly error: VeritError
}

export interface Subject {
  readonly path: string
  readonly mode: number
  /** User id of the owner. */
  readonly uid: number
  /** Effective user id of the process. */
  readonly user: number
  /** Whether a container engine put it there (secret-mount.ts). */
  readonly mounted?: () => boolean
}

export interface TrustedOptions {
  readonly kind: FileClass
  /** Completes the error for a missing file, for example "the configuration". */
  readonly purpose: string
  /** Whether a link is followed. Default: it is, but not of a state file. */
  readonly follow?: boolean
  /**
   * The error for an objection. Default: VERIT_OTHERS_OWN, VERIT_OTHERS_WRITE, VERIT_OTHERS_READ; of a state file
   * VERIT_STATE.
   */
  readonly refuse?: ((objection: Objection) => VeritError) | undefined
}

export interface ReadOptions extends TrustedOptions {
  /** Most bytes. */
  readonly limit: number
  /** The error for a longer file. Default: VERIT_FILE_IO. */
  readonly tooLong?: (size: number) => VeritError
}

/**
 * Opens a file of a class.
 * @throws VeritError from `refuse`, VERIT_FILE_NOT_FOUND, VERIT_FILE_IO; VERIT_FILE_KIND, for a state file VERIT_STATE
 */
export function openTrusted(path: string, options: TrustedOptions): RegularFile {
  const { kind, purpose, follow = kind !== 'state' } = options
  let file: RegularFile
  try {
    file = openRegular(path, purpose, follow)
  } catch (e) {
    const link = e instanceof Error && (e.cause as NodeJS.ErrnoException | undefined)?.code === 'ELOOP'
    if (kind === 'state' && (link || VeritError.is(e, 'VERIT_FILE_KIND'))) throw notRegular(path)
    throw e
  }
  try {
    checkTrusted(file.fd, path, options)
    return file
  } catch (e) {
    file.close()
    throw e
  }
}

/**
 * Reads a file of a class whole.
 * @param options.limit maximum number of bytes. @param options.tooLong error for a longer file; default VERIT_FILE_IO
 * @throws VeritError as openTrusted, and if it changes while it is read
 */
export function readTrusted(path: string, options: ReadOptions): Buffer {
  const { limit, tooLong } = options
  const file = openTrusted(path, options)
  try {
    if (file.size > limit) {
      const reason = `it has more than ${limit.toLocaleString('en-US')} bytes`
      throw tooLong?.(file.size) ?? new VeritError('VERIT_FILE_IO', { path, action: 'read', reason })
    }
    const bytes = file.readAll()
    file.checkUnchanged()
    return bytes
  } finally {
    file.close()
  }
}

/**
 * Checks an open file. Windows has no such owners and bits, so nothing is checked there.
 * @throws VeritError see TrustedOptions.refuse
 */
export function checkTrusted(fd: number, path: string, { kind, refuse }: Omit<TrustedOptions, 'purpose'>): void {
  if (process.platform === 'win32') return
  const { mode, uid } = fstatSync(fd)
  const objection = objectionTo(kind, { path, mode, uid, user: process.geteuid!(), mounted: () => isOnSecretMount(fd) })
  if (objection !== undefined) throw refuse?.(objection) ?? objection.error
}

/** The problem of a file or state folder; undefined if there is none. */
export function objectionTo(
  kind: FileClass,
  subject: Subject,
  what: 'file' | 'folder' = 'file'
): Objection | undefined {
  const { path, mode, uid, user } = subject
  const owners = kind === 'state' ? [user] : [user, 0, codeOwner]
  if (!owners.includes(uid)) {
    const clause = `it belongs to another user (user id ${uid})`
    const error =
      kind === 'state'
        ? stateError(path, clause, 'Run as its owner, or choose another folder with --state')
        : new VeritError('VERIT_OTHERS_OWN', { path, owner: uid, user })
    return { problem: clause.slice('it '.length), clause, command: `chown ${user} ${shellPath(path)}`, error }
  }
  if ((mode & forbidden[kind] & ~allowedOf(kind, subject)) === 0) return undefined
  const octal = (mode & 0o777).toString(8)
  const mend = kind === 'decides' ? 'go-w' : modes[what]
  const command = `chmod ${mend} ${shellPath(path)}${uid === user ? '' : ` as its owner (user id ${uid})`}`
  const [done, doing] = kind === 'decides' ? ['changed', 'change'] : ['used', 'use']
  const clause = `others can ${doing} it (mode ${octal})`
  const errors: Readonly<Record<FileClass, () => VeritError>> = {
    secret: () => new VeritError('VERIT_OTHERS_READ', { path, mode: octal, command }),
    decides: () => new VeritError('VERIT_OTHERS_WRITE', { path, mode: octal, command }),
    state: () =>
      stateError(
        path,
        clause,
        `If nobody else has used it, run ${command}; otherwise start with a new folder and new keys`
      )
  }
  return { problem: `can be ${done} by others (mode ${octal})`, clause, command, error: errors[kind]() }
}

/**
 * Bits that the class forbids and this file may have. A secret of root's may be readable by one group: so systemd and
 * Kubernetes (`fsGroup`) hand secrets to a service. Where a container engine mounted it, everyone in the container may
 * read it.
 */
function allowedOf(kind: FileClass, { mode, uid, user, mounted }: Subject): number {
  if (kind !== 'secret' || uid !== 0 || (mode & 0o022) !== 0) return 0
  if (mounted?.() === true) return 0o055
  return user === 0 ? 0 : 0o040
}

export const notRegular = (path: string): VeritError =>
  stateError(path, 'it is not a regular file', 'Move it away, or choose another folder with --state')

function stateError(path: string, problem: string, fix: string): VeritError {
  return new VeritError('VERIT_STATE', { path, problem, fix })
}
