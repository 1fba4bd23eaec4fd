/** Node, the kernels, the user and the environment that a server would run with. */
import { NODE_NEEDED, runsHere } from '../lib/node-version.ts'
import { exposingOption } from '../lib/process-protections.ts'
import { describeProtection, notProtected } from '../runner/protect.ts'
import type { Protection } from '../runner/protect.ts'
import { note, ok, problem, warning } from './finding.ts'
import type { Finding } from './finding.ts'

export interface Platform {
  /** 24.1.0 */
  readonly node: string
  /** Instruction sets of the native kernels that run here, the fastest first; without kernels only `reference`. */
  readonly kernels: readonly string[]
  /** Effective user id; undefined on Windows. */
  readonly uid: number | undefined
  readonly umask: number
  readonly env: NodeJS.ProcessEnv
}

/** Variables that change what Node does with every request or connection. */
const dangerous: readonly (readonly [string, (value: string) => boolean, string])[] = [
  [
    'NODE_TLS_REJECT_UNAUTHORIZED',
    v => v === '0',
    'turns off the checks of certificates, those of the database and the webhook included'
  ],
  ['NODE_OPTIONS', v => /--require|--import|--loader|-r\b/.test(v), 'loads code'],
  ['NODE_OPTIONS', v => exposingOption([], v) !== undefined, 'opens a debugger, or writes memory or keys to a file']
]

export function checkPlatform({ node, kernels, uid, umask, env }: Platform): Finding[] {
  const found: Finding[] = []
  const major = Number.parseInt(node, 10)
  if (!runsHere(node)) found.push(problem('node.version', `Node ${node} does not run Verit`, `Install ${NODE_NEEDED}`))
  else if (major % 2 === 1)
    found.push(
      warning(
        'node.version',
        `Node ${node} is a line without long-term support`,
        'Use an even major version, and its newest release'
      )
    )
  else found.push(ok('node.version', `Node ${node}; whether it is the newest of its line cannot be told offline`))

  const [fastest] = kernels
  if (fastest === undefined || fastest === 'reference') {
    found.push(
      warning(
        'kernels',
        'There are no native kernels for this machine: models run in plain TypeScript, hundreds of times slower',
        'Install a C compiler and run `node scripts/build-native.mjs` in the folder of the package'
      )
    )
  } else found.push(ok('kernels', `Native kernels, instruction set ${fastest}`))

  if (uid === 0)
    found.push(
      warning(
        'user.root',
        'This runs as root: whoever exploits the server controls the machine',
        'Run the server as a user of its own (docs/guide/deploy.md)'
      )
    )
  else if (uid !== undefined) found.push(ok('user.root', `This does not run as root (user id ${uid})`))

  if (uid !== undefined && (umask & 0o022) !== 0o022) {
    found.push(
      warning(
        'user.umask',
        `The umask ${umask.toString(8).padStart(3, '0')} lets others write to new files`,
        'Set it to 077 for the user that runs the server'
      )
    )
  }
  for (const [name, bad, what] of dangerous) {
    if (bad(env[name] ?? ''))
      found.push(problem('environment', `${name} ${what}`, `Remove ${name} from the environment of the server`))
  }
  if ((env['NODE_DEBUG'] ?? '') !== '')
    found.push(
      warning(
        'environment',
        'NODE_DEBUG writes what passes through Node to standard error',
        'Remove it from the environment of the server'
      )
    )
  if ((env['NODE_EXTRA_CA_CERTS'] ?? '') !== '')
    found.push(note('environment', 'NODE_EXTRA_CA_CERTS adds authorities that outgoing connections trust'))
  return found
}

/**
 * The protections of a gateway on this system. @param protection as reached by this process, in the environment of the
 * server
 */
export function checkGateway(protection: Protection): Finding {
  const says = `A gateway here is ${describeProtection(protection)}`
  if (notProtected(protection).length === 0) return ok('gateway', says)
  if (protection.exposure !== undefined) {
    return problem('gateway', says, 'Remove that option of Node; a server does not start with it')
  }
  const elsewhere = 'Serve on Linux, or let nothing else run as the user of the server'
  return warning('gateway', says, protection.noCore ? elsewhere : 'Build the native library (`npm run native`)')
}
