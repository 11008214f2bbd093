const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Returns whether a text is a UUID as Keyturn writes its ids (RFC 9562 §4, in lower case). */
export function isUuid(text: string): boolean {
  return uuid.test(text);
}
