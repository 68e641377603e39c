// The command `completion`, which prints scripts for bash, zsh and fish.
import type { Command } from 'commander'
import { UsageError } from './arguments.ts'
import type { Run } from './context.ts'

export function completion(program: Command, run: Run): void {
  program
    .command('completion')
    .description('print a script that completes commands and options in a shell')
    .argument('<shell>', 'bash, zsh or fish')
    .addHelpText(
      'after',
      `
  bash:  eval "$(meowmx completion bash)"         in ~/.bashrc
  zsh:   eval "$(meowmx completion zsh)"          in ~/.zshrc, after compinit
  fish:  meowmx completion fish | source          in ~/.config/fish/config.fish`,
    )
    .action(
      run(async ({ out }, shell: string) => {
        const script = SCRIPTS[shell]
        if (!script)
          throw new UsageError(
            `there is no completion for ${shell}: choose one of ${Object.keys(SCRIPTS).join(', ')}`,
          )
        await out.line(script(program))
      }),
    )
}

const SCRIPTS: Record<string, (program: Command) => string> = { bash, zsh, fish }

const commandsOf = (program: Command): readonly Command[] => program.createHelp().visibleCommands(program)

interface Flag {
  readonly name: string
  readonly description: string
  /** Whether it takes a value. */
  readonly valued: boolean
}

/** The long options of a command or of the program. */
function flags(command: Command): Flag[] {
  const options = command.createHelp().visibleOptions(command)
  return options.flatMap(({ long, description, required, optional }) =>
    long ? [{ name: long, description, valued: required || optional }] : [],
  )
}

/** The script for bash: after a command it offers the options; after an option with a value, files. */
function bash(program: Command): string {
  const everywhere = flags(program)
  const words = (list: readonly Flag[]) => list.map(({ name }) => name).join(' ')
  const cases = commandsOf(program).map(
    (command) => `    ${command.name()}) words="${words(flags(command))} ${words(everywhere)}" ;;`,
  )
  const valued = [program, ...commandsOf(program)].flatMap(flags).filter(({ valued }) => valued)
  return `_meowmx() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} command= words i
  COMPREPLY=()
  case $before in
    ${[...new Set(valued.map(({ name }) => name))].join('|')}) COMPREPLY=($(compgen -f -- "$word")); return ;;
  esac
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
      ${commandsOf(program)
        .map((command) => command.name())
        .join('|')}) command=\${COMP_WORDS[i]}; break ;;
    esac
  done
  case $command in
${cases.join('\n')}
    *) words="${commandsOf(program)
      .map((command) => command.name())
      .join(' ')} ${words(everywhere)}" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  [[ $word == -* || -z $command || \${#COMPREPLY[@]} -gt 0 && -n $word ]] || COMPREPLY+=($(compgen -f -- "$word"))
}
complete -F _meowmx meowmx`
}

function zsh(program: Command): string {
  const item = (name: string, description: string) => quoted(`${name}:${description.replaceAll(':', '\\:')}`)
  const list = (from: readonly Flag[]) =>
    from.map(({ name, description }) => item(name, description)).join(' ')
  const cases = commandsOf(program).map(
    (command) => `    ${command.name()}) options+=(${list(flags(command))}) ;;`,
  )
  return `#compdef meowmx
_meowmx() {
  local -a commands options
  local command= word
  commands=(${commandsOf(program)
    .map((command) => item(command.name(), command.description()))
    .join(' ')})
  options=(${list(flags(program))})
  for word in \${words[2,CURRENT-1]}; do
    if (( \${commands[(I)$word:*]} )); then command=$word; break; fi
  done
  case $command in
${cases.join('\n')}
    *) _describe command commands ;;
  esac
  if [[ \${words[CURRENT]} == -* ]]; then _describe option options; elif [[ -n $command ]]; then _files; fi
}
compdef _meowmx meowmx`
}

function fish(program: Command): string {
  const line = (condition: string, { name, description, valued }: Flag) =>
    `complete -c meowmx ${condition}-l ${name.slice(2)}${valued ? ' -r' : ''} -d ${quoted(description)}`
  const lines = flags(program).map((flag) => line('', flag))
  for (const command of commandsOf(program)) {
    const name = command.name()
    lines.push(
      `complete -c meowmx -f -n __fish_use_subcommand -a ${name} -d ${quoted(command.description())}`,
    )
    for (const flag of flags(command)) lines.push(line(`-n '__fish_seen_subcommand_from ${name}' `, flag))
  }
  return lines.join('\n')
}

/** Quotes a text for a POSIX shell or fish. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
