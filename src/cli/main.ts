#!/usr/bin/env node
/** The `verit` command: registers one file a command and turns every error into one clear sentence and an exit status. */
import { Command } from 'commander'
import { readFileSync } from 'node:fs'
import { VeritError } from '../lib/errors.ts'
import { command as bench } from './bench.ts'
import { command as chat } from './chat.ts'
import { command as evaluate } from './eval.ts'
import { command as generate } from './generate.ts'
import { command as inspect } from './inspect.ts'
import { command as keys } from './keys.ts'
import { command as prepare } from './prepare.ts'
import { command as serve } from './serve.ts'
import { command as tokenizer } from './tokenizer.ts'
import { command as train } from './train.ts'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }

const program = new Command('verit')
  .description('Trains, verifies and serves small language models (GPT and 1.58-bit BitNet) on ordinary CPUs.')
  .version(version)
  .showHelpAfterError('(add --help for usage and an example)')
for (const command of [prepare, tokenizer, train, evaluate, generate, chat, serve, keys, inspect, bench]) program.addCommand(command())

try {
  await program.parseAsync()
} catch (e) {
  if (!VeritError.is(e)) throw e
  process.stderr.write(`verit: ${e.message} [${e.code}]\n`)
  process.exitCode = e.exit
}
