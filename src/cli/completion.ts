import { Argument, type Command } from 'commander';
import { print } from './terminal.ts';

const shells = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

/** @param createWhole creates the program with every command, which the script completes. */
export function addCompletionCommand(program: Command, createWhole: () => Promise<Command>): void {
  program
    .command('completion')
    .description('print a script that completes commands and options in a shell')
    .addArgument(new Argument('<shell>', 'the shell that runs the script').choices(Object.keys(shells)))
    .addHelpText(
      'after',
      `
Examples:
  keyturn completion bash > /etc/bash_completion.d/keyturn
  source <(keyturn completion zsh)
  keyturn completion fish > ~/.config/fish/completions/keyturn.fish`,
    )
    .action(async (shell: keyof typeof shells) => print(shells[shell](await createWhole())));
}

/** Returns a script that selects a list of words by the command line before the cursor. */
function bashScript(program: Command): string {
  return `_keyturn() {
  local line= word words=
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word == -* ]] && break
    line="\${line:+$line }$word"
  done
  case "$line" in
${casesOf(program)}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _keyturn keyturn`;
}

/** Returns a completion script for zsh, in which `path` and `words` are special variables. */
function zshScript(program: Command): string {
  return `#compdef keyturn
_keyturn() {
  local line= word words_here=
  for word in "\${(@)words[2,CURRENT-1]}"; do
    [[ $word == -* ]] && break
    line="\${line:+$line }$word"
  done
  case "$line" in
${casesOf(program).replaceAll(" words='", " words_here='")}
  esac
  compadd -- \${=words_here} || _files
}
if [[ $funcstack[1] == _keyturn ]]; then _keyturn "$@"; else (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }; compdef _keyturn keyturn; fi`;
}

/** Returns a script with a function that prints the words for the command line before the cursor. */
function fishScript(program: Command): string {
  const cases = walk(program, []).map(
    ([path, words, goesOn]) =>
      `    case '${path}'${goesOn ? ` '${path} *'` : ''}\n      printf '%s\\n' ${words.join(' ')}`,
  );
  return `function __keyturn_words
  set -l line
  for word in (commandline -opc)[2..-1]
    string match -q -- '-*' $word; and break
    set -a line $word
  end
  switch "$line"
${cases.join('\n')}
  end
end
complete -c keyturn -f -a '(__keyturn_words)'
complete -c keyturn -n '__fish_seen_subcommand_from import check' -F
complete -c keyturn -l jwks -r -F`;
}

function casesOf(program: Command): string {
  return walk(program, [])
    .map(([path, words, goesOn]) => `    '${path}'${goesOn ? `|'${path} '*` : ''}) words='${words.join(' ')}' ;;`)
    .join('\n');
}

/**
 * Returns the words that may follow each command, and whether its options may also follow its arguments, such as a
 * Client ID.
 */
function walk(command: Command, path: readonly string[]): [path: string, words: string[], goesOn: boolean][] {
  const help = command.createHelp();
  const words = [
    ...command.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
    ...help.visibleCommands(command).map((child) => child.name()),
    ...help.visibleOptions(command).flatMap((option) => option.long ?? []),
  ];
  return [
    [path.join(' '), words, command.registeredArguments.length > 0],
    ...command.commands.flatMap((child) => walk(child, [...path, child.name()])),
  ];
}
