import type { Reply } from './page.ts';
import { signInForm } from './parts/sign-in-form.ts';

/** Instead of a secret, to somebody whose sign-in is too old for that. @param next where to go on. */
export function showProveAgain(next: string): Reply {
  const title = 'Prove that it is you';
  return { title, body: signInForm({ title, next, isAgain: true }) };
}
