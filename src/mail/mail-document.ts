import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { renderToString } from 'preact-render-to-string';
import { plainLine } from './mail-text.ts';

/** A part of a mail, from which both the text and the HTML are made. */
export type MailBlock =
  | { type: 'heading'; text: string }
  | { type: 'paragraph'; text: string }
  | { type: 'step'; text: string }
  /** A code that the reader copies or types. */
  | { type: 'code'; text: string }
  | { type: 'list'; label: string; items: readonly string[] }
  | { type: 'button'; label: string; url: string }
  | { type: 'line' };

/** The content of a mail. */
export type MailDocument = {
  language: string;
  /** The subject, which mail programs show beside the beginning of the text. */
  title: string;
  /** The name above the content; Keyturn if undefined. */
  brand?: string;
  blocks: readonly MailBlock[];
  /** Small text at the end. */
  footer: readonly ({ text: string } | { label: string; url: string })[];
};

const lineWidth = 76;

/** Returns the mail as plain text (RFC 3676 §4.2 keeps lines below 78 characters). */
export function renderMailText({ blocks, footer }: MailDocument): string {
  const parts = blocks.map(blockText);
  const end = footer.map((part) => ('url' in part ? `${part.label}:\n${part.url}` : wrap(part.text)));
  return `${[...parts, '-- ', ...end].join('\n\n').replace('-- \n\n', '-- \n')}\n`;
}

function blockText(block: MailBlock): string {
  switch (block.type) {
    case 'heading':
    case 'paragraph':
    case 'step':
    case 'code':
      return wrap(block.text);
    case 'list':
      return [wrap(block.label), ...block.items.map((item) => wrap(item, '  - ', '    '))].join('\n');
    case 'button':
      return `${block.label}:\n${block.url}`;
    case 'line':
      return '-'.repeat(40);
  }
}

function wrap(text: string, first = '', rest = ''): string {
  const lines: string[] = [];
  let line = first;
  for (const word of plainLine(text).split(' ')) {
    const isEmpty = line === first || line === rest;
    if (!isEmpty && line.length + 1 + word.length > lineWidth) {
      lines.push(line);
      line = rest + word;
    } else line += isEmpty ? word : ` ${word}`;
  }
  return [...lines, line].join('\n');
}

const font = `font-family:-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif`;

/** Colours of the dark appearance. The inline styles, which every mail program knows, have those of the light one. */
const darkStyles = `
  :root { color-scheme: light dark; supported-color-schemes: light dark; }
  @media (prefers-color-scheme: dark) {
    .page { background: #12161c !important; }
    .card { background: #1b212a !important; border-color: #333c49 !important; }
    .text { color: #e6e9ee !important; }
    .quiet, .quiet a { color: #a7b0bd !important; }
    .step { background: #262f3b !important; color: #e6e9ee !important; }
    .rule { border-color: #333c49 !important; }
    .button { background: #7db0ff !important; color: #0c1420 !important; }
  }
  @media (max-width: 480px) { .pad { padding: 20px !important; } .edge { padding: 12px 8px !important; } }`;

/** Returns the mail as HTML that loads nothing. */
export function renderMailHtml({ language, title, brand = 'Keyturn', blocks, footer }: MailDocument): string {
  const body = html`<body class="page" style="margin:0;padding:0;background:#f2f4f7">
    <table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" class="page" style="background:#f2f4f7"><tr>
      <td align="center" class="edge" style="padding:32px 16px">
        <table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="max-width:600px">
          <tr><td class="quiet" style=${`padding:0 4px 12px;text-align:left;color:#5b6572;font-size:14px;font-weight:600;${font}`}>${plainLine(brand)}</td></tr>
          <tr><td class="card pad" style=${`padding:28px 32px;text-align:left;background:#ffffff;border:1px solid #dde2e9;border-radius:10px;${font}`}>
            ${blocks.map(renderBlock)}
          </td></tr>
          <tr><td class="quiet" style=${`padding:16px 4px 0;text-align:left;color:#5b6572;font-size:13px;line-height:1.5;${font}`}>
            ${footer.map((part) =>
              'url' in part
                ? html`<p style="margin:0 0 6px"><a href=${part.url} style="color:#5b6572">${part.label}</a></p>`
                : html`<p style="margin:0 0 6px">${plainLine(part.text)}</p>`,
            )}
          </td></tr>
        </table>
      </td>
    </tr></table>
  </body>`;
  const head = html`<head>
    <meta charset="utf-8" /><meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" /><meta name="supported-color-schemes" content="light dark" />
    <title>${plainLine(title)}</title><style dangerouslySetInnerHTML=${{ __html: darkStyles }}></style>
  </head>`;
  return `<!doctype html>${renderToString(html`<html lang=${language}>${head}${body}</html>`)}\n`;
}

function renderBlock(block: MailBlock): VNode {
  switch (block.type) {
    case 'heading':
      return html`<h1 class="text" dir="auto" style="margin:0 0 12px;font-size:20px;line-height:1.35;color:#16202c;overflow-wrap:anywhere">${plainLine(block.text)}</h1>`;
    case 'paragraph':
      return html`<p class="text" style="margin:0 0 14px;font-size:16px;line-height:1.5;color:#16202c;overflow-wrap:anywhere">${plainLine(block.text)}</p>`;
    case 'step':
      return html`<p class="step" style="margin:0 0 18px;padding:12px 14px;background:#eef3fb;border-radius:6px;font-size:16px;line-height:1.5;color:#16202c">${plainLine(block.text)}</p>`;
    case 'code':
      return html`<p class="text" style="margin:0 0 18px;font-size:28px;line-height:1.3;font-weight:600;letter-spacing:2px;white-space:nowrap;color:#16202c">${plainLine(block.text)}</p>`;
    case 'list':
      return html`<p class="quiet" style="margin:0 0 6px;font-size:14px;color:#5b6572">${plainLine(block.label)}</p>
        <ul class="text" style="margin:0 0 16px;padding:0 0 0 20px;font-size:15px;line-height:1.5;color:#16202c">
          ${block.items.map((item) => html`<li style="margin:0 0 4px;overflow-wrap:anywhere"><bdi>${plainLine(item)}</bdi></li>`)}
        </ul>`;
    case 'button':
      return html`<p style="margin:0 0 6px"><a href=${block.url} class="button" style="display:inline-block;padding:11px 18px;background:#1f5fbf;color:#ffffff;border-radius:6px;font-size:16px;font-weight:600;text-decoration:none">${block.label}</a></p>`;
    case 'line':
      return html`<hr class="rule" style="margin:24px 0;border:0;border-top:1px solid #dde2e9" />`;
  }
}
