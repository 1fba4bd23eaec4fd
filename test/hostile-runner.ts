/**
 * For tests only: a runner that is the attacker's from the moment of its lock on. It is started and locked as the real
 * one is, with the same function, and then does what it is told: JSON in the place of the model's name. What the
 * attempts returned is its answer, as the name of its model.
 */
import { constants } from 'node:fs'
import { createRequire } from 'node:module'
import { open } from 'node:fs/promises'
import { Socket } from 'node:net'
import { FROM_RUNNER_LIMIT, FrameDecoder, LOAD_LIMIT, encodeFrame } from '../src/runner/frames.ts'
import type { FromRunner, ToRunner } from '../src/runner/messages.ts'
import { lockProcess } from '../src/runner/sandbox.ts'

interface Syscalls {
  numbers: Record<string, number>
  call(number: number, ...args: (number | Uint8Array)[]): number
  call32(): number
  code(): [from: number, to: number]
}
export interface Orders {
  addon: string
  /** Names in `attempts`, in order. */
  attempts: string[]
  seccomp?: boolean
  /** TCP port of a server that must not be reached. */
  port?: number
  /** A path that must not come to be. */
  path?: string
}

const socket = new Socket({ fd: 3, readable: true, writable: true })
const frames = new FrameDecoder(LOAD_LIMIT)
const parent = process.ppid
socket.on('data', chunk => {
  for (const value of frames.push(chunk)) void obey(value as ToRunner)
})

async function obey(message: ToRunner): Promise<void> {
  if (message.type === 'close') process.exit(0)
  if (message.type !== 'load') return
  const { addon, attempts: names, seccomp = true, port = 0, path = '' } = JSON.parse(message.name) as Orders
  const native = createRequire(import.meta.url)(addon) as Syscalls
  await (await open('/dev/null')).close() // libuv's threads exist before the lock
  const code = native.code()
  const sandbox = lockProcess({ memoryBytes: message.memoryBytes ?? 0, seccomp })
  send({ type: 'locked', sandbox })
  const results: (number | string)[] = []
  for (const name of names) results.push(await attempts(native, { port, path, code })[name]!())
  const info = {
    name: results.join(' '),
    architecture: 'x',
    parameters: 1,
    vocabSize: 1,
    context: 9,
    modelContext: 9,
    executor: 'x',
    threads: 1
  }
  send({ type: 'ready', info })
}

const send = (message: FromRunner): unknown => socket.write(encodeFrame(message, FROM_RUNNER_LIMIT))

const text = (s: string): Uint8Array => new Uint8Array(Buffer.from(`${s}\0`))
const HERE = -100
const RWX = 7

function attempts(
  { numbers: n, call, call32 }: Syscalls,
  { port, path, code: [from, to] }: { port: number; path: string; code: [number, number] }
): Record<string, () => number | string | Promise<number | string>> {
  const page = (): number => call(n['mmap']!, 0, 65536, 3, 0x22, -1, 0)
  const tcp = (): Uint8Array => new Uint8Array([2, 0, port >> 8, port & 255, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
  const tcpCall = (which: 'bind' | 'connect') => (): number => call(n[which]!, call(n['socket']!, 2, 1, 0), tcp(), 16)
  return {
    'open a file': () => call(n['openat']!, HERE, text('/etc/passwd'), 0),
    'open the root folder': () => call(n['openat']!, HERE, text('/'), 0),
    'open with openat2': () => call(n['openat2']!, HERE, text('/etc/passwd'), new Uint8Array(24), 24),
    'create a file': () => call(n['openat']!, HERE, text(path), 0o101, 0o600),
    'make a folder': () => call(n['mkdirat']!, HERE, text(path), 0o700),
    'ask whether a file exists': () => call(n['newfstatat']!, HERE, text('/etc/passwd'), new Uint8Array(256), 0),
    'open through an older thread': () =>
      open('/etc/passwd').then(
        () => 0,
        (e: NodeJS.ErrnoException) => e.errno!
      ),
    'make a socket': () => call(n['socket']!, 1, 1, 0),
    connect: tcpCall('connect'),
    bind: tcpCall('bind'),
    'connect to no socket': () => call(n['connect']!, 3, tcp(), 16),
    'run a program': () => call(n['execve']!, text('/bin/true'), 0, 0),
    fork: () => call(n['clone']!, 17, 0, 0, 0, 0),
    'clone without memory shared': () => call(n['clone']!, 0x100, 0, 0, 0, 0),
    'trace the parent': () => call(n['ptrace']!, 16, parent, 0, 0),
    'read the memory of the parent': () =>
      call(n['process_vm_readv']!, parent, new Uint8Array(16), 1, new Uint8Array(16), 1, 0),
    'signal the parent': () => call(n['kill']!, parent, 0),
    'signal everyone': () => call(n['kill']!, -1, 0),
    'signal a thread of the parent': () => call(n['tgkill']!, parent, parent, 0),
    'signal itself': () => call(n['kill']!, process.pid, 0),
    'open the parent by a descriptor': () => call(n['pidfd_open']!, parent, 0),
    'map executable memory': () => call(n['mmap']!, 0, 4096, RWX, 0x22, -1, 0),
    'make its memory executable': () => call(n['mprotect']!, page(), 4096, RWX),
    'make memory executable beyond the end of the code': () => call(n['mprotect']!, to - 4096, 8192, RWX),
    'make memory executable before the code': () => call(n['mprotect']!, from - 4096, 8192, RWX),
    'make memory executable with a length that wraps': () => call(n['mprotect']!, to - 4096, 2 ** 32 + 4096, RWX),
    'the engine makes its code executable': () => call(n['mprotect']!, from, 4096, RWX),
    'the engine compiles': () => Number(hot()),
    'an anonymous file': () => call(n['memfd_create']!, text('x'), 0),
    io_uring: () => call(n['io_uring_setup']!, 8, new Uint8Array(120)),
    'a ring': () => call(n['io_uring_enter']!, 5, 0, 0, 0, 0, 0),
    hang: () => {
      for (;;) continue
    },
    bpf: () => call(n['bpf']!, 0, new Uint8Array(128), 128),
    userfaultfd: () => call(n['userfaultfd']!, 1),
    keyrings: () => call(n['keyctl']!, 0, -3, 0),
    'a user namespace': () => call(n['unshare']!, 0x10000000),
    'another namespace': () => call(n['setns']!, 3, 0),
    mount: () => call(n['mount']!, text('none'), text('/tmp'), text('tmpfs'), 0, 0),
    'performance counters': () => call(n['perf_event_open']!, new Uint8Array(128), 0, -1, -1, 0),
    'signals through a descriptor': () => call(n['fcntl']!, 3, 8, parent),
    'input to a terminal': () => call(n['ioctl']!, 2, 0x5412, text('x')),
    'higher limits': () => call(n['prlimit64']!, 0, 7, new Uint8Array(16).fill(1), 0),
    'to be debugged': () => call(n['prctl']!, 4, 1, 0, 0, 0),
    'shared memory, which no ceiling counts': () => call(n['mmap']!, 0, 1 << 28, 3, 0x21, -1, 0),
    'memory that grows like a stack, which no ceiling counts': () => call(n['mmap']!, 0, 1 << 28, 3, 0x122, -1, 0),
    'to read the model past the cache, in each process to come': () => call(n['fcntl']!, 4, 4, constants.O_DIRECT),
    'many descriptors': () => {
      let r = 0
      for (let i = 0; i < 100 && r === 0; i++) r = call(n['pipe2']!, new Uint8Array(8), 0)
      return r
    },
    'all memory': () => {
      let r = 0
      for (let i = 0; i < 1 << 20 && r >= 0; i++) r = call(n['mmap']!, 0, 1 << 28, 3, 0x22, -1, 0)
      return r
    },
    'all memory in JavaScript': () => {
      const held: Uint8Array[] = []
      try {
        for (;;) held.push(new Uint8Array(1 << 26).fill(1))
      } catch {
        return -held.length
      }
    },
    '32-bit system calls': () => call32(),
    'x32 system calls': () => call(0x40000000 + n['getpid']!),
    'a frame of four gigabytes': () => {
      socket.write(Buffer.from([255, 255, 255, 255]))
      return new Promise(() => undefined)
    },
    'a frame that is no JSON': () => {
      socket.write(Buffer.from([3, 0, 0, 0, 1, 2, 3]))
      return new Promise(() => undefined)
    }
  }
}

/** Runs long enough to be compiled by every tier, with functions and patterns that did not exist before the lock. */
function hot(): boolean {
  let sum = 0
  for (let f = 0; f < 200; f++) {
    const make = new Function('n', `let s = ${f}; for (let i = 0; i < n; i++) s = (s * 31 + i) | 0; return s`) as (
      n: number
    ) => number
    for (let i = 0; i < 50; i++) sum ^= make(2000)
    sum ^= 'a'.repeat(300).replace(new RegExp(`(a{${(f % 9) + 1}})b?`, 'g'), '$1c').length
  }
  return Number.isInteger(sum)
}
