#!/usr/bin/env node
/** The `verit` command. Nothing is imported before Node's debugger is out of reach: until something else listens for SIGUSR1, Node answers it by opening one. */
process.on('SIGUSR1', () => undefined)

const { runProgram } = await import('./program.ts')
await runProgram(process.argv.slice(2))

export {}
