import { Argument, type Command } from 'commander';
import { print } from './terminal.ts';

export function addCompletionCommand(program: Command): void {
  program
    .command('completion')
    .description('print a script that completes commands and options in a shell')
    .addArgument(new Argument('<shell>', 'the shell').choices(['bash', 'zsh']))
    .addHelpText(
      'after',
      `
Examples:
  keyturn completion bash > /etc/bash_completion.d/keyturn
  source <(keyturn completion zsh)`,
    )
    .action((shell: string) => print(script(program, shell)));
}

/** One list of words for each command line so far; zsh takes bash's form through its own bridge. */
function script(program: Command, shell: string): string {
  const cases = walk(program, []).map(([pattern, words]) => `    ${pattern}) words='${words.join(' ')}' ;;`);
  return `${shell === 'zsh' ? 'autoload -U +X bashcompinit && bashcompinit\n' : ''}_keyturn() {
  local path= word words=
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word == -* ]] && break
    path="\${path:+$path }$word"
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _keyturn keyturn`;
}

/** What may follow each command, by a pattern of the shell that matches the words before it. */
function walk(command: Command, path: readonly string[]): [pattern: string, words: string[]][] {
  const help = command.createHelp();
  const choices = command.registeredArguments.flatMap((argument) => argument.argChoices ?? []);
  const words = [
    ...help.visibleCommands(command).map((child) => child.name()),
    ...help.visibleOptions(command).flatMap((option) => option.long ?? []),
  ];
  // What follows an argument, such as a Client ID, is the command's options again.
  const takesArguments = command.registeredArguments.length > 0;
  return [
    [`'${path.join(' ')}'`, [...choices, ...words]],
    ...(takesArguments ? [[`'${path.join(' ')} '*`, words] as [string, string[]]] : []),
    ...command.commands.flatMap((child) => walk(child, [...path, child.name()])),
  ];
}
