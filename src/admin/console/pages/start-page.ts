import { html } from 'htm/preact';
import { permissionNames } from '../../../contacts/contact.ts';
import type { Page } from '../page.ts';
import { sectionsFor } from '../render-document.ts';

/** Redirects to the first section that the operator may view. */
export const startPage: Page = {
  method: 'get',
  path: '/',
  handle: async ({ operator }) => {
    const [first] = sectionsFor(operator.permissions);
    if (first) return { seeOther: first.path };
    return {
      title: 'No permissions yet',
      body: html`<div class="narrow">
        <h1>No permissions yet</h1>
        <p class="lead">You are signed in, but you do not have permission to open any page.</p>
        <p>Ask an operator with the permission “${permissionNames['contacts:manage']}” for access. Then sign in again.</p>
      </div>`,
    };
  },
};
