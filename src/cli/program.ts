/**
 * Runs the command that was asked for, and turns every error into one clear sentence and an exit status. Only that
 * command's file is loaded; lists and typos need none.
 */
import { Command, CommanderError } from 'commander'
import { commandName, inCheckout } from '../lib/command-name.ts'
import { VeritError } from '../lib/errors.ts'
import { unnamedFileError } from '../lib/file-error.ts'
import { guardStandardStreams } from '../lib/standard-streams.ts'
import { VERSION } from '../lib/version.ts'
import { commands } from './commands.ts'
import { refuseEmptyNames } from './empty-names.ts'

const EXAMPLES = `
Examples:
  verit serve
  verit generate "It was"
  verit train book.txt --out runs/book
  verit pull hf:OWNER/REPO/model.gguf
  verit doctor`
const IN_CHECKOUT = `
In this checkout, type ${commandName} instead of verit (npm run -s keeps npm's own lines out of a pipe).`

/** @param words of the command line, without Node and the program */
export async function runProgram(words: readonly string[]): Promise<void> {
  guardStandardStreams()
  const asksVersion = words[0] === '-V' || words[0] === '--version'
  const program = new Command('verit')
    .description(
      'Trains, verifies and serves small language models on ordinary CPUs: GPT and BitNet of its own, ' +
        'and GGUF files of Llama, Qwen, Gemma, Phi and others.'
    )
    .version(
      asksVersion ? (await import('./version-text.ts')).versionText() : VERSION,
      '-V, --version',
      'show version and build'
    )
    .addHelpText('after', inCheckout ? EXAMPLES + '\n' + IN_CHECKOUT : EXAMPLES)
  const [first, second] = words
  const asked = first === 'help' ? second : first
  if (asked !== undefined && Object.hasOwn(commands, asked)) {
    const { command } = await commands[asked]!.load()
    program.addCommand(command())
  } else for (const [name, { summary }] of Object.entries(commands)) program.command(name).summary(summary)
  likeOtherErrors(program)
  program.hook('preAction', (_, command) => refuseEmptyNames(command))
  try {
    await program.parseAsync(words, { from: 'user' })
  } catch (e) {
    // Nothing ends the process here: a help text that cannot be written is an error (standard-streams.ts).
    if (e instanceof CommanderError) {
      process.exitCode = e.exitCode === 0 ? 0 : 2
      return
    }
    const purpose = 'the current folder, which was removed'
    const error = hasNoFolder(e) ? new VeritError('VERIT_FILE_NOT_FOUND', { path: '.', purpose }) : unnamedFileError(e)
    if (!VeritError.is(error)) throw error
    process.stderr.write(`verit: ${error.message} [${error.code}]\n`)
    process.exitCode = error.exit
  }
}

/** Node asks for the current folder to resolve any relative path. */
const hasNoFolder = (e: unknown): boolean => e instanceof Error && 'syscall' in e && e.syscall === 'uv_cwd'

/**
 * A mistyped option ends with status 2, like other wrong usage, so that status 1 of `audit verify` has one meaning.
 * Every command names its help.
 */
function likeOtherErrors(command: Command): void {
  command.showHelpAfterError('(add --help for usage and an example)')
  command.exitOverride()
  for (const each of command.commands) likeOtherErrors(each)
}
