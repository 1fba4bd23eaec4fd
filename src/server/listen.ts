/** Where the server is reached: a TCP port, or a Unix socket that only its user and group may connect to. */
import { chmodSync, lstatSync, realpathSync, statSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { basename, dirname, join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { VeritError } from '../lib/errors.ts'
import type { ServerConfig } from './config.ts'

/** The user and the group may connect. A proxy of another user joins the group. */
const SOCKET_MODE = 0o660

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the address is in use',
  EACCES: 'this user may not use it',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'there is no such host',
  ENOENT: 'its folder does not exist',
  ENOTDIR: 'its folder does not exist'
}

/**
 * Begins to listen and returns the URL: `http://127.0.0.1:8081`; for a Unix socket `http://localhost`, which does not
 * identify it.
 * @throws VeritError VERIT_LISTEN
 */
export async function startListening(
  app: FastifyInstance,
  { socket, host, port }: ServerConfig['listen'],
  scheme: string
): Promise<string> {
  if (socket !== '') {
    await listenOnSocket(app, socket)
    return 'http://localhost'
  }
  // the name may mean two addresses: this server listens on one
  const address = host === 'localhost' ? '127.0.0.1' : host
  const shown = address.includes(':') ? `[${address}]` : address
  try {
    await app.listen({ host: address, port })
  } catch (e) {
    throw refusal(`${shown}:${port}`, e)
  }
  return `${scheme}://${shown}:${(app.server.address() as AddressInfo).port}`
}

/**
 * Whether a socket may be made there, without making it; gives its path without links. @throws VeritError VERIT_LISTEN
 */
export function checkSocketFolder(socket: string): string {
  try {
    const folder = realpathSync(dirname(socket))
    checkFolders(folder, socket)
    return join(folder, basename(socket))
  } catch (e) {
    throw VeritError.is(e) ? e : refusal(socket, e)
  }
}

async function listenOnSocket(app: FastifyInstance, socket: string): Promise<void> {
  const path = checkSocketFolder(socket)
  try {
    await removeStale(path, socket)
    await app.listen({ path })
    chmodSync(path, SOCKET_MODE)
  } catch (e) {
    throw VeritError.is(e) ? e : refusal(socket, e)
  }
}

/**
 * Whoever can write to the folder, or rename it, could place a socket there and collect keys while the server is down:
 * each folder must belong to root or to this user. Above the last one, others may write if the sticky bit prevents them
 * from renaming files of others.
 */
function checkFolders(folder: string, socket: string): void {
  for (let at = folder; ; at = dirname(at)) {
    const { uid, mode } = statSync(at)
    if (uid !== 0 && uid !== process.geteuid!()) refuse(socket, `the folder ${at} belongs to another user`)
    const shared = (mode & 0o022) !== 0
    const sticky = (mode & 0o1000) !== 0
    if (shared && (at === folder || !sticky))
      refuse(socket, `others may write to the folder ${at} (mode ${(mode & 0o7777).toString(8)})`)
    if (at === dirname(at)) return
  }
}

/** A server that was killed leaves its socket behind; one that runs answers on it. */
async function removeStale(path: string, socket: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return
  if (!found.isSocket()) refuse(socket, 'a file that is no socket has this name')
  if (found.uid !== process.geteuid!()) refuse(socket, 'a socket of another user has this name')
  if (await answers(path)) refuse(socket, 'another server listens there')
  unlinkSync(path)
}

function answers(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    const tell = (is: boolean): void => {
      socket.destroy()
      resolve(is)
    }
    // Any other error than "nobody listens" may come from a busy server.
    socket
      .once('connect', () => tell(true))
      .once('error', (e: NodeJS.ErrnoException) => tell(e.code !== 'ECONNREFUSED'))
  })
}

function refuse(address: string, reason: string): never {
  throw new VeritError('VERIT_LISTEN', { address, reason })
}

function refusal(address: string, e: unknown): VeritError {
  const code = e instanceof Error && 'code' in e ? String(e.code) : String(e)
  return new VeritError('VERIT_LISTEN', { address, reason: REASONS[code] ?? code }, e)
}
