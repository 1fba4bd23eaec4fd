/** `verit completion`: scripts that complete commands, options and their values in bash, zsh and fish. */
import { Argument, Command } from 'commander'
import { commandTree } from './command-tree.ts'
import type { CommandNode } from './command-tree.ts'

type Shell = 'bash' | 'zsh' | 'fish'

export function command(): Command {
  return new Command('completion')
    .summary('print a script for shell completion')
    .description('Prints a script that completes commands, options and their values in your shell.')
    .addArgument(new Argument('<shell>', 'your shell').choices(['bash', 'zsh', 'fish']))
    .addHelpText(
      'after',
      `
Examples:
  verit completion bash > ~/.local/share/bash-completion/completions/verit
  verit completion zsh > ~/.zfunc/_verit            (with ~/.zfunc in fpath)
  verit completion fish > ~/.config/fish/completions/verit.fish`
    )
    .action(async (shell: Shell) => {
      process.stdout.write(completionScript(shell, await commandTree()))
    })
}

interface Place {
  /** Words from `verit` to here, without `verit`: `keys create`. */
  readonly path: string
  readonly node: Pick<CommandNode, 'options' | 'commands'>
}

function places(tree: readonly CommandNode[]): Place[] {
  const below = (path: string, node: CommandNode): Place[] => [
    { path, node },
    ...node.commands.flatMap(each => below(`${path} ${each.name}`, each))
  ]
  return [{ path: '', node: { options: [], commands: tree } }, ...tree.flatMap(node => below(node.name, node))]
}

/** @param tree of `commandTree` */
export function completionScript(shell: Shell, tree: readonly CommandNode[]): string {
  const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript }
  return scripts[shell](places(tree))
}

const names = ({ node }: Place): string[] => [
  ...node.commands.map(c => c.name),
  ...node.options.flatMap(o => (o.long === undefined ? [] : [o.long])),
  '--help'
]
const single = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`

/** Cases of a `case` that follow the words of the command line from one command to the next. */
const steps = (all: readonly Place[]): string => {
  const patterns = all.filter(p => p.path !== '').map(p => single(p.path))
  return patterns.join('|')
}

function bashScript(all: readonly Place[]): string {
  const values = all.flatMap(({ path, node }) =>
    node.options
      .filter(o => o.choices.length > 0 && o.long !== undefined)
      .map(o => `    ${single(`${path}:${o.long}`)}) words=${single(o.choices.join(' '))} ;;`)
  )
  const words = all.map(p => `      ${single(p.path)}) words=${single(names(p).join(' '))} ;;`)
  return `# Completion of verit for bash. Made by: verit completion bash
_verit() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} path= next word words=
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    next=\${path:+$path }$word
    case "$next" in
      ${steps(all)}) path=$next ;;
    esac
  done
  case "$path:$previous" in
${values.join('\n')}
  esac
  if [ -z "$words" ] && { [ "\${current#-}" != "$current" ] || [ -z "$path" ]; }; then
    case "$path" in
${words.join('\n')}
    esac
  elif [ -z "$words" ]; then
    case "$path" in
${all
  .filter(p => p.path !== '' && p.node.commands.length > 0)
  .map(p => `      ${single(p.path)}) words=${single(p.node.commands.map(c => c.name).join(' '))} ;;`)
  .join('\n')}
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o bashdefault -o default -F _verit verit
`
}

function zshScript(all: readonly Place[]): string {
  const item = (name: string, text: string): string => single(`${name.replaceAll(':', String.raw`\:`)}:${text}`)
  const values = all.flatMap(({ path, node }) =>
    node.options
      .filter(o => o.choices.length > 0 && o.long !== undefined)
      .map(o => `    ${single(`${path}:${o.long}`)}) compadd -- ${o.choices.map(single).join(' ')}; return ;;`)
  )
  const options = all.map(({ path, node }) => {
    const items = node.options.flatMap(o => (o.long === undefined ? [] : [item(o.long, o.description)]))
    return `      ${single(path)}) items=(${[...items, item('--help', 'display help for command')].join(' ')}) ;;`
  })
  const subcommands = all
    .filter(p => p.node.commands.length > 0)
    .map(p => `      ${single(p.path)}) items=(${p.node.commands.map(c => item(c.name, c.summary)).join(' ')}) ;;`)
  return `#compdef verit
# Completion of verit for zsh. Made by: verit completion zsh
_verit() {
  local at='' next word
  local -a items
  for word in \${words[2,CURRENT-1]}; do
    next=\${at:+$at }$word
    case "$next" in
      ${steps(all)}) at=$next ;;
    esac
  done
  case "$at:\${words[CURRENT-1]}" in
${values.join('\n')}
  esac
  if [[ \${words[CURRENT]} == -* ]]; then
    case "$at" in
${options.join('\n')}
    esac
  else
    case "$at" in
${subcommands.join('\n')}
    esac
  fi
  if (( \${#items} )); then _describe 'verit' items; else _files; fi
}
if [ "$funcstack[1]" = _verit ]; then _verit "$@"; else compdef _verit verit; fi
`
}

function fishScript(all: readonly Place[]): string {
  const lines = all.flatMap(({ path, node }) => {
    const here = `-n ${single(`__verit_at ${path === '' ? "''" : single(path)}`)}`
    const subcommands = node.commands.map(c => `complete -c verit ${here} -f -a ${c.name} -d ${single(c.summary)}`)
    const options = node.options.flatMap(o => {
      if (o.long === undefined) return []
      const short = o.short === undefined ? '' : ` -s ${o.short.slice(1)}`
      const value = o.takesValue ? ' -r' : ''
      const choices = o.choices.length > 0 ? ` -f -a ${single(o.choices.join(' '))}` : ''
      const long = o.long.slice(2)
      return [`complete -c verit ${here}${short} -l ${long}${value}${choices} -d ${single(o.description)}`]
    })
    return [...subcommands, ...options]
  })
  return `# Completion of verit for fish. Made by: verit completion fish
function __verit_at
  set -l at ''
  for word in (commandline -opc)[2..]
    set -l next (string trim "$at $word")
    if contains -- "$next" ${all
      .filter(p => p.path !== '')
      .map(p => single(p.path))
      .join(' ')}
      set at $next
    end
  end
  test "$at" = "$argv[1]"
end
${lines.join('\n')}
`
}
