/**
 * Placeholder for the address of a caller behind a trusted proxy whose forwarded address cannot be parsed. It is not an
 * IP address, so it never counts as one caller in a limit or as one source of usage.
 */
export const unreadableAddress = 'unreadable';
