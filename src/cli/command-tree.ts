/** The commands and options of `verit` as data, for shell completion, the man page and docs/reference/cli.md. */
import type { Command, Option } from 'commander'
import { commands } from './commands.ts'

export interface OptionNode {
  /** As help shows them: `-o, --out <folder>`. */
  readonly flags: string
  readonly short: string | undefined
  readonly long: string | undefined
  readonly takesValue: boolean
  readonly description: string
  /** The allowed values of the option, if they are listed. */
  readonly choices: readonly string[]
  /** The default as help shows it; undefined if there is none or the description contains it. */
  readonly default: string | undefined
}

export interface CommandNode {
  readonly name: string
  /** One line for lists. */
  readonly summary: string
  readonly description: string
  /** `[options] <input...>` and the like. */
  readonly usage: string
  readonly arguments: readonly { readonly name: string; readonly description: string }[]
  readonly options: readonly OptionNode[]
  readonly commands: readonly CommandNode[]
  /** Whole text of `--help`. */
  readonly help: string
}

/** Loads every command. Takes about a second of processor time. */
export async function commandTree(): Promise<CommandNode[]> {
  const nodes: CommandNode[] = []
  for (const [name, { load, summary }] of Object.entries(commands)) {
    const { command } = await load()
    nodes.push({ ...nodeOf(command(), `verit ${name}`), summary })
  }
  return nodes
}

function nodeOf(command: Command, path: string): CommandNode {
  return {
    name: command.name(),
    summary: command.summary() || command.description(),
    description: command.description(),
    usage: command.usage(),
    arguments: command.registeredArguments.map(a => ({ name: a.name(), description: a.description })),
    options: command.options.filter(o => !o.hidden).map(optionNode),
    commands: command.commands.map(each => nodeOf(each, `${path} ${each.name()}`)),
    help: wholeHelp(command)
  }
}

function optionNode(option: Option): OptionNode {
  const { flags, short, long, description, argChoices, defaultValue, defaultValueDescription } = option
  const shown = defaultValueDescription ?? (defaultValue === undefined ? undefined : JSON.stringify(defaultValue))
  return {
    flags,
    short,
    long,
    takesValue: option.required || option.optional,
    description,
    choices: argChoices ?? [],
    default: typeof defaultValue === 'boolean' ? undefined : shown
  }
}

/** The help, with the text of `addHelpText`, which `helpInformation` leaves out. */
function wholeHelp(command: Command): string {
  let text = ''
  command.configureOutput({ writeOut: part => void (text += part), getOutHelpWidth: () => 80 })
  command.outputHelp()
  return text
}
