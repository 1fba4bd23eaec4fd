#!/usr/bin/env node
/**
 * The `verit` command: one file a command, loaded only when it is asked for, so that each starts fast and the gateway of `serve` holds no parser of
 * models; and every error turned into one clear sentence and an exit status.
 */
import { Command } from 'commander'
import { readFileSync } from 'node:fs'
import { commandName, inCheckout } from '../lib/command-name.ts'
import { VeritError } from '../lib/errors.ts'

/** In the order of `verit --help`. */
const commands: Readonly<Record<string, () => Promise<{ command: () => Command }>>> = {
  prepare: () => import('./prepare.ts'),
  tokenizer: () => import('./tokenizer.ts'),
  train: () => import('./train.ts'),
  eval: () => import('./eval.ts'),
  compare: () => import('./compare.ts'),
  generate: () => import('./generate.ts'),
  chat: () => import('./chat.ts'),
  serve: () => import('./serve.ts'),
  keys: () => import('./keys.ts'),
  call: () => import('./call.ts'),
  audit: () => import('./audit.ts'),
  model: () => import('./model.ts'),
  inspect: () => import('./inspect.ts'),
  pull: () => import('./pull.ts'),
  push: () => import('./push.ts'),
  models: () => import('./models.ts'),
  doctor: () => import('./doctor.ts'),
  convert: () => import('./convert.ts'),
  bench: () => import('./bench.ts'),
  tune: () => import('./tune.ts'),
}

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }

const program = new Command('verit')
  .description('Trains, verifies and serves small language models (GPT and 1.58-bit BitNet) on ordinary CPUs.')
  .version(version)
  .addHelpText('after', '\nExamples:\n  verit serve\n  verit generate "It was"\n  verit train book.txt --out runs/book\n  verit pull hf:OWNER/REPO/model.gguf\n  verit doctor')
const asked = process.argv[2]
const wanted = asked !== undefined && Object.hasOwn(commands, asked) ? [asked] : Object.keys(commands)
if (inCheckout) {
  program.addHelpText('afterAll', `\nIn this checkout, type ${commandName} instead of verit (npm run -s keeps npm's own lines out of a pipe).`)
}
for (const name of wanted) program.addCommand((await commands[name]!()).command())
likeOtherErrors(program)

/** A mistyped option ends with 2, as other wrong use does, so that the 1 of `audit verify` says one thing only; and every command names its help. */
function likeOtherErrors(command: Command): void {
  command.showHelpAfterError('(add --help for usage and an example)').exitOverride(e => process.exit(e.exitCode === 0 ? 0 : 2))
  for (const each of command.commands) likeOtherErrors(each)
}

// Whoever read our output has had enough (`verit ... | head`): no error.
process.stdout.on('error', (e: NodeJS.ErrnoException) => {
  if (e.code === 'EPIPE') process.exit(0)
  throw e
})

try {
  await program.parseAsync()
} catch (e) {
  if (!VeritError.is(e)) throw e
  process.stderr.write(`verit: ${e.message} [${e.code}]\n`)
  process.exitCode = e.exit
}
