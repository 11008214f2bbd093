import { KeyturnError } from '../../../errors.ts';

/**
 * Thrown if a call requires a proof of identity within the last 15 minutes. The response is a form that asks for the
 * operator token.
 */
export class ProofNeeded extends KeyturnError {
  constructor() {
    super('proof_needed', 401, 'Enter your operator token again to continue.');
  }
}
