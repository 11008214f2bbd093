/**
 * Stands for the address of a caller behind a trusted proxy whose forwarded address cannot be read. It is no IP address, so
 * it never counts as one caller: not in a limit, and not as one source of usage.
 */
export const unreadableAddress = 'unreadable';
