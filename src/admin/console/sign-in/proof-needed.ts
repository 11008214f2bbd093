import { KeyturnError } from '../../../errors.ts';

/** The session has not proved who it is recently enough for what it asks for. Answered with a form that asks for the proof. */
export class ProofNeeded extends KeyturnError {
  constructor() {
    super('proof_needed', 401, 'Enter your operator token again to continue.');
  }
}
