/**
 * Compiles test/hostile-syscall.c, which makes any system call from JavaScript: what a test or a bench attacks the
 * runner's lock with.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

/** Writes the addon to `path`. False where there is no C compiler. */
export function compileHostile(path: string): boolean {
  const zig = file('../tools/zig/node_modules/.bin/zig')
  const arguments_ = [
    '-std=c11',
    '-fPIC',
    '-shared',
    `-I${file('../node_modules/node-api-headers/include')}`,
    file('hostile-syscall.c'),
    '-o',
    path
  ]
  const compilers = [['cc'], ['gcc'], ['clang'], ...(existsSync(zig) ? [[zig, 'cc']] : [])]
  return compilers.some(([c, ...rest]) => spawnSync(c!, [...rest, ...arguments_]).status === 0)
}
