/**
 * Protections of a server's processes as data: the effect of each signal on gateway and runner, and the options of Node
 * that expose a process. One table for both, because the gateway holds the secrets and needs the same protection.
 * `runner/protect.ts` applies it; doctor and tests read it.
 */
import { constants } from 'node:os'

/**
 * `stop`: ends in order, as `verit serve --grace` says; a second one at once. `reload`: reads the certificates again;
 * ends in order if its terminal has closed. `ignore`: no effect, although the default would end the process. `none`: no
 * effect by default, of the system or of Node. `suspend`: the process stops until SIGCONT. `end`: the process ends at
 * once, without a core file.
 */
export type Reaction = 'stop' | 'reload' | 'ignore' | 'none' | 'suspend' | 'end'

/**
 * Signals of the system (Linux signal(7)). The runner follows the gateway: a signal sent to both, by a terminal or a
 * service manager, must not end it first.
 */
export const signalReactions: Readonly<Record<string, { readonly gateway: Reaction; readonly runner: Reaction }>> = {
  SIGTERM: { gateway: 'stop', runner: 'ignore' },
  SIGINT: { gateway: 'stop', runner: 'ignore' },
  SIGQUIT: { gateway: 'stop', runner: 'ignore' },
  SIGHUP: { gateway: 'reload', runner: 'ignore' },
  // Node's debugger; log rotation of other programs.
  SIGUSR1: { gateway: 'ignore', runner: 'ignore' },
  SIGUSR2: { gateway: 'ignore', runner: 'ignore' },
  SIGALRM: { gateway: 'ignore', runner: 'ignore' },
  SIGVTALRM: { gateway: 'ignore', runner: 'ignore' },
  SIGPROF: { gateway: 'ignore', runner: 'ignore' },
  SIGIO: { gateway: 'ignore', runner: 'ignore' },
  SIGPWR: { gateway: 'ignore', runner: 'ignore' },
  SIGSTKFLT: { gateway: 'ignore', runner: 'ignore' },
  SIGXCPU: { gateway: 'ignore', runner: 'ignore' },
  // Sent to a background process that uses its terminal. Ignored in native code, so that the write continues.
  SIGTTIN: { gateway: 'ignore', runner: 'ignore' },
  SIGTTOU: { gateway: 'ignore', runner: 'ignore' },
  SIGPIPE: { gateway: 'none', runner: 'none' },
  SIGXFSZ: { gateway: 'none', runner: 'none' },
  SIGCHLD: { gateway: 'none', runner: 'none' },
  SIGURG: { gateway: 'none', runner: 'none' },
  SIGWINCH: { gateway: 'none', runner: 'none' },
  SIGCONT: { gateway: 'none', runner: 'none' },
  SIGTSTP: { gateway: 'suspend', runner: 'suspend' },
  SIGSTOP: { gateway: 'suspend', runner: 'suspend' },
  // A fault in the process itself: there is no state to continue with.
  SIGABRT: { gateway: 'end', runner: 'end' },
  SIGBUS: { gateway: 'end', runner: 'end' },
  SIGFPE: { gateway: 'end', runner: 'end' },
  SIGILL: { gateway: 'end', runner: 'end' },
  SIGSEGV: { gateway: 'end', runner: 'end' },
  SIGSYS: { gateway: 'end', runner: 'end' },
  SIGTRAP: { gateway: 'end', runner: 'end' },
  SIGKILL: { gateway: 'end', runner: 'end' }
}

/** Real-time signals, which have no names in Node. Their default is to end the process; here they are ignored. */
export const realTimeSignals: readonly number[] =
  process.platform === 'linux' ? Array.from({ length: 31 }, (_, i) => 34 + i) : []

/** Ignored natively: a listener would interrupt the write to the terminal. */
export const ignoredNatively: readonly string[] = ['SIGTTIN', 'SIGTTOU']

export type Role = 'gateway' | 'runner'

/** Names that this system has and Node can listen to. */
export function signalsThat(role: Role, reaction: Reaction): NodeJS.Signals[] {
  const known = Object.keys(signalReactions).filter((name): name is NodeJS.Signals => name in constants.signals)
  return known.filter(name => signalReactions[name]![role] === reaction)
}

/**
 * Given to Node wherever it is started for a server: SIGUSR1 does not open the debugger, not even before our first
 * line. Node 22.14 or newer.
 */
export const NO_DEBUGGER = '--disable-sigusr1'

/** Options of Node that expose a process or write its memory to disk, and their effect. */
const exposing: readonly (readonly [RegExp, string])[] = [
  [/^--inspect(-brk|-wait|-brk-node)?(=|$)/, 'opens a debugger: whoever reaches its port runs code in this process'],
  [/^--heapsnapshot-(signal|near-heap-limit)(=|$)/, 'writes all that is in memory to a file'],
  [/^--report-(on-signal|on-fatalerror|uncaught-exception)$/, 'writes the environment to a file'],
  [/^--tls-keylog(=|$)/, 'writes the keys of TLS connections to a file']
]

export interface Exposure {
  /** As it was given. */
  readonly option: string
  readonly danger: string
}

/** The first such option among those of a command line and of NODE_OPTIONS. Node takes `_` for `-`. */
export function exposingOption(args: readonly string[], nodeOptions = ''): Exposure | undefined {
  for (const option of [...args, ...nodeOptions.split(/\s+/).map(word => word.replaceAll(/^["']|["']$/g, ''))]) {
    const found = exposing.find(([pattern]) => pattern.test(option.replaceAll('_', '-')))
    if (found !== undefined) return { option, danger: found[1] }
  }
  return undefined
}
