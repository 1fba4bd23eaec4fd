/** Refuses empty names of files and folders before a command runs: they usually come from an unset shell variable. */
import type { Command } from 'commander'
import { VeritError } from '../lib/errors.ts'

/** Arguments and values of options that name a file or folder, as `--help` shows them. */
const ARGUMENTS: readonly string[] = ['input', 'file', 'data', 'model', 'run', 'output', 'out', 'source', 'target']
const VALUES = /<(?:file|folder|files|folders)>/

/** `--state` has its own error; an empty setting of a server means unset. */
const mayBeEmpty = (command: Command, option: string): boolean =>
  option === 'state' || (command.name() === 'serve' && option !== 'config')

/** @throws VeritError VERIT_USAGE */
export function refuseEmptyNames(command: Command): void {
  command.registeredArguments.forEach((argument, i) => {
    if (ARGUMENTS.includes(argument.name()) && [command.processedArgs[i]].flat().includes('')) {
      refuse(`<${argument.name()}>`)
    }
  })
  for (const option of command.options) {
    const name = option.attributeName()
    if (!VALUES.test(option.flags) || mayBeEmpty(command, name)) continue
    const given = command.getOptionValueSource(name) === 'cli'
    if (given && [command.getOptionValue(name) as unknown].flat().includes('')) refuse(option.long ?? option.flags)
  }
}

function refuse(what: string): never {
  throw new VeritError('VERIT_USAGE', {
    problem: `The name given for ${what} is empty`,
    hint: 'Give the name of a file or folder; a shell variable in its place may be unset'
  })
}
