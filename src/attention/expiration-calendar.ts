import type { expirationKinds } from './expirations.ts';

/** Something that ends, as the admin API returns it. */
export type CalendarItem = {
  id: string;
  kind: (typeof expirationKinds)[number];
  at: string;
  name: string;
  contact_name: string | null;
  message: string;
  next_step: string | null;
};

const titles: Record<CalendarItem['kind'], string> = {
  access_key: 'Access key expires',
  certificate: 'Certificate expires',
  grace_period: 'Grace period ends',
  signing_key: 'Signing key is rotated',
};

/**
 * Writes what ends as an iCalendar object (RFC 5545), with a reminder a day before each end. The UID of a thing stays
 * the same, so a program that reads a later calendar updates its event.
 * @param now the time in milliseconds at which the calendar is made.
 */
export function writeCalendar(items: readonly CalendarItem[], now: number): string {
  const lines = [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//Keyturn//Expirations//EN',
    'METHOD:PUBLISH',
    ...items.flatMap((item) => eventOf(item, now)),
    'END:VCALENDAR',
  ];
  return lines.map((line) => `${fold(line)}\r\n`).join('');
}

function eventOf(item: CalendarItem, now: number): string[] {
  const of = item.contact_name === null ? item.name : `${item.name} (${item.contact_name})`;
  const summary = escapeText(`${titles[item.kind]}: ${of}`);
  return [
    'BEGIN:VEVENT',
    `UID:${item.id.replace(':', '-')}@keyturn`,
    `DTSTAMP:${utc(now)}`,
    `DTSTART:${utc(Date.parse(item.at))}`,
    `SUMMARY:${summary}`,
    `DESCRIPTION:${escapeText([item.message, item.next_step].filter(Boolean).join('\n'))}`,
    'TRANSP:TRANSPARENT',
    ...(item.next_step === null
      ? []
      : ['BEGIN:VALARM', 'ACTION:DISPLAY', 'TRIGGER:-P1D', `DESCRIPTION:${summary}`, 'END:VALARM']),
    'END:VEVENT',
  ];
}

/** Returns a time in the form of RFC 5545 §3.3.5, in UTC, to the second. */
function utc(ms: number): string {
  return new Date(ms).toISOString().replaceAll(/[-:]|\.\d+/g, '');
}

/** Escapes a text (RFC 5545 §3.3.11). Control characters other than line breaks are not allowed in it. */
function escapeText(text: string): string {
  return text
    .replaceAll(/\r\n?/g, '\n')
    .replaceAll(/(?!\n)\p{Cc}/gu, ' ')
    .replaceAll(/[\\;,]/g, '\\$&')
    .replaceAll('\n', '\\n');
}

const maxOctets = 75;

/** Splits a line into lines of at most 75 octets, of which all but the first begin with a space (RFC 5545 §3.1). */
function fold(line: string): string {
  const lines = [''];
  let octets = 0;
  for (const character of line) {
    const length = Buffer.byteLength(character);
    if (octets + length > maxOctets) {
      lines.push(' ');
      octets = 1;
    }
    lines[lines.length - 1] += character;
    octets += length;
  }
  return lines.join('\r\n');
}
