import { type Argument, type Command, InvalidArgumentError, type Option } from 'commander';

/**
 * Makes every option and argument of a command and of its subcommands reject an empty value. An empty value usually
 * comes from a shell variable that is not set, and must not count as "not given", "all" or "none".
 */
export function refuseEmptyValues(command: Command): void {
  for (const option of command.options) {
    if (option.required || option.optional) refuseEmpty(option, 'Omit the option, or give it a value.');
  }
  for (const argument of command.registeredArguments) refuseEmpty(argument, 'Give it a value.');
  for (const below of command.commands) refuseEmptyValues(below);
}

function refuseEmpty(one: Option | Argument, whatToDo: string): void {
  const parse = one.parseArg;
  one.parseArg = <T>(value: string, earlier: T): T => {
    if (value.trim() === '') throw new InvalidArgumentError(`It is empty. ${whatToDo}`);
    return parse ? (parse(value, earlier as never) as T) : (value as T);
  };
}
