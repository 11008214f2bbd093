import { html } from 'htm/preact';
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
      title: 'Nothing to see yet',
      body: html`<div class="narrow">
        <h1>Nothing to see yet</h1>
        <p class="lead">You are signed in, but you have no permission that opens a page here.</p>
        <p>Somebody with contacts:manage can give you one. Sign in again then.</p>
      </div>`,
    };
  },
};
