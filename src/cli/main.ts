#!/usr/bin/env node
/**
 * The `verit` command. Nothing is imported before Node's debugger is disabled: without a listener for SIGUSR1, Node
 * opens it at that signal.
 */
process.on('SIGUSR1', () => undefined)
await import('../lib/require-node.ts')

const words = process.argv.slice(2)
const { lockedCommands } = await import('./commands.ts')
if (lockedCommands.includes(words[0] ?? '')) (await import('./restart-for-lock.ts')).restartForLock(words)
const { runProgram } = await import('./program.ts')
await runProgram(words)

export {}
