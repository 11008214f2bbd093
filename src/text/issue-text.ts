import type { z } from 'zod';

/** Messages for values that a schema rejects without a message of its own, as sentences without their subject. */

type Issue = z.core.$ZodRawIssue;

const types: Readonly<Record<string, string>> = {
  string: 'must be text',
  number: 'must be a number',
  int: 'must be a whole number',
  boolean: 'must be true or false',
  array: 'must be a list',
  object: 'must be an object',
  record: 'must be an object',
  null: 'must be null',
};

const formats: Readonly<Record<string, string>> = {
  email: 'must be an e-mail address, such as ann@example.com',
  uuid: 'must be a UUID',
  url: 'must be a URL',
  datetime: 'must be a date and time (RFC 3339), such as 2030-01-31T12:00:00Z',
};

/**
 * Returns the message for an issue, such as `must be at least 60`. It never contains the value. Pass it to `safeParse` as
 * `error`.
 */
export function issueText(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'is required' : (types[issue.expected] ?? 'has a wrong type');
    case 'too_small':
      if (issue.origin === 'string' && issue.minimum === 1) return 'must not be empty';
      return sizeText(issue.origin, Number(issue.minimum), 'least', issue.inclusive ?? true);
    case 'too_big':
      return sizeText(issue.origin, Number(issue.maximum), 'most', issue.inclusive ?? true);
    case 'invalid_format':
      return formats[issue.format] ?? 'has a wrong format';
    case 'invalid_value': {
      const values = issue.values.map(String);
      return values.length === 1 ? `must be ${values[0]}` : `must be one of ${values.join(', ')}`;
    }
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`;
    case 'unrecognized_keys':
      return 'unknown field';
    default:
      return 'has a value that is not accepted';
  }
}

const units: Readonly<Record<string, string>> = { string: 'character', array: 'item', set: 'item', map: 'member' };

function sizeText(origin: string, size: number, bound: 'least' | 'most', isInclusive: boolean): string {
  const unit = units[origin];
  if (unit) return `must have at ${bound} ${size} ${unit}${size === 1 ? '' : 's'}`;
  if (isInclusive) return `must be at ${bound} ${size}`;
  return `must be ${bound === 'least' ? 'more' : 'less'} than ${size}`;
}
