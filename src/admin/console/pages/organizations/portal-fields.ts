import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { logoProblem, maxLogoBytes } from '../../../../organizations/portal-settings.ts';
import { t } from '../../languages/translate.ts';
import type { ShownOrganization } from '../../page.ts';
import { linesIn } from '../../parts/detail-fields.ts';
import { type Entries, entry } from '../../parts/entries.ts';
import { textArea, textField } from '../../parts/forms.ts';

/** Renders the fields for the look of the portal. */
export function portalFields(entries: Entries): VNode {
  const origins = t('One per line, such as https://app.example.com.');
  return html`<fieldset class="stack">
    <legend>${t('Portal')}</legend>
    <p class="hint">${t('How the portal looks for its people. Empty fields have the value of the organization of the deployment.')}</p>
    ${textField({ ...entry(entries, 'portal_name'), label: t('Name of the product'), maxlength: 60 })}
    ${logoField(entries)}
    ${textField({ ...entry(entries, 'accent_color'), label: t('Accent colour'), maxlength: 7, placeholder: '#1f5bc4' })}
    ${textField({ ...entry(entries, 'support_url'), label: t('URL of the support'), type: 'url', maxlength: 2_000 })}
    ${textField({ ...entry(entries, 'return_url'), label: t('Return URL'), type: 'url', maxlength: 2_000 })}
    ${textArea({ ...entry(entries, 'return_origins'), label: t('Further origins of return URLs'), rows: 2, hint: origins })}
    ${textArea({ ...entry(entries, 'frame_origins'), label: t('Origins whose pages may show the portal in a frame'), rows: 2, hint: origins })}
  </fieldset>`;
}

/** Renders the field for the logo, which is text because forms send no files. */
function logoField(entries: Entries): VNode {
  const field = entry(entries, 'logo');
  return html`${textArea({
    ...field,
    label: t('Logo'),
    rows: 2,
    hint: t('A PNG, JPEG or WebP picture of at most {size} KiB, as a data: URL in base64.', {
      size: maxLogoBytes / 1024,
    }),
  })}
  ${logoProblem(field.value) === undefined && html`<p><img src=${field.value} alt=${t('The present logo')} height="24" /></p>`}`;
}

/** Converts the look of a portal to the values of its fields. */
export function toPortalForm({ portal }: ShownOrganization): Record<string, string> {
  return {
    portal_name: portal.name ?? '',
    logo: portal.logo ?? '',
    accent_color: portal.accent_color ?? '',
    support_url: portal.support_url ?? '',
    return_url: portal.return_url ?? '',
    return_origins: portal.return_origins.join('\n'),
    frame_origins: portal.frame_origins.join('\n'),
  };
}

/** Converts the submitted fields to the member `portal` of a request. */
export function readPortalForm(form: URLSearchParams): Record<string, unknown> {
  const textOf = (name: string) => form.get(name)?.trim() || null;
  return {
    name: textOf('portal_name'),
    ...(form.has('logo') ? { logo: textOf('logo') } : {}),
    accent_color: textOf('accent_color'),
    support_url: textOf('support_url'),
    return_url: textOf('return_url'),
    return_origins: linesIn(form.get('return_origins') ?? ''),
    frame_origins: linesIn(form.get('frame_origins') ?? ''),
  };
}
