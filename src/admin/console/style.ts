/** Style sheet of the console: four text sizes, one accent colour, a light and a dark theme. */
export const style = `:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --surface: #fff; --sunken: #f1f2f5; --line: #dfe2e8; --edge: #858c99;
  --text: #1a1d23; --muted: #5a616e;
  --accent: #1f5bc4; --accent-strong: #17479b; --on-accent: #fff; --accent-ground: #e9f0fc;
  --ok: #17663d; --ok-ground: #e3f4ea; --warn: #7a4b00; --warn-ground: #fcf0d8; --bad: #a3221a; --bad-ground: #fcebe9;
  --bar-current: #1f5bc4; --bar-retiring: #d08700; --bar-other: #8a919e; --bar-refused: #c2372d;
  --small: 0.8125rem; --base: 0.9375rem; --large: 1.125rem; --title: 1.5rem;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace;
  --radius: 8px;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #101216; --surface: #181b21; --sunken: #12151a; --line: #2b303a; --edge: #767e8c;
    --text: #e6e8ec; --muted: #a3aab7;
    --accent: #7fb0ff; --accent-strong: #a8caff; --on-accent: #0c1a33; --accent-ground: #1b2a45;
    --ok: #7ad3a0; --ok-ground: #14301f; --warn: #f0c063; --warn-ground: #362709; --bad: #ff9a91; --bad-ground: #3b1715;
    --bar-current: #7fb0ff; --bar-retiring: #e3a72f; --bar-other: #767e8c; --bar-refused: #ff7d72;
  }
}
*, *::before, *::after { box-sizing: border-box; }
html { font-size: 100%; scroll-padding-top: 1rem; }
body {
  margin: 0; background: var(--ground); color: var(--text);
  font: var(--base)/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  -webkit-text-size-adjust: 100%; overflow-wrap: break-word;
}
h1, h2, h3, p, dl, dd, ul, ol, figure, fieldset { margin: 0; padding: 0; }
h1 { font-size: var(--title); line-height: 1.25; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { font-size: var(--large); line-height: 1.35; }
h3 { font-size: var(--base); }
ul { list-style: none; }
fieldset { border: 0; min-width: 0; }
a { color: var(--accent); text-underline-offset: 2px; text-decoration-thickness: 1px; }
a:hover { color: var(--accent-strong); }
code, pre { font-family: var(--mono); font-size: var(--small); }
code { overflow-wrap: anywhere; }
[hidden] { display: none !important; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
main:focus { outline: none; }
.unseen { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.skip { position: absolute; left: 1rem; top: -4rem; background: var(--surface); padding: 0.5rem 1rem; border-radius: var(--radius); z-index: 2; }
.skip:focus { top: 0.5rem; }
.bullets { list-style: disc; padding-left: 1.25rem; }
.bullets > * + * { margin-top: 0.25rem; }
.muted, .hint { color: var(--muted); }
.hint, .under { font-size: var(--small); }
.under { display: block; color: var(--muted); }
.fine { color: var(--muted); font-size: 0.75rem; font-weight: 400; }
.strong { font-weight: 600; }
time { white-space: nowrap; }

/* The frame. */
.top { display: flex; align-items: center; justify-content: space-between; gap: 1rem; padding: 0.625rem 1rem; background: var(--surface); border-bottom: 1px solid var(--line); }
.brand { display: flex; align-items: center; gap: 0.5rem; color: var(--text); font-weight: 650; text-decoration: none; }
.brand img { display: block; }
.who { display: flex; align-items: center; gap: 0.75rem; min-width: 0; }
.who-name { color: var(--muted); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.sections { background: var(--surface); border-bottom: 1px solid var(--line); overflow-x: auto; }
.sections ul { display: flex; gap: 0.25rem; padding: 0 0.5rem; }
.sections a { display: block; padding: 0.625rem 0.5rem; color: var(--muted); text-decoration: none; white-space: nowrap; border-bottom: 2px solid transparent; }
.sections a:hover { color: var(--text); }
.sections a[aria-current] { color: var(--text); font-weight: 600; border-bottom-color: var(--accent); }
.sections a:focus-visible { outline-offset: -3px; }
main { display: block; padding: 1.25rem 1rem 4rem; max-width: 72rem; margin: 0 auto; }
main > * + * { margin-top: 1.25rem; }
.narrow { max-width: 36rem; }
.narrow > * + * { margin-top: 1rem; }
.signed-out .narrow { margin: 0 auto; max-width: 26rem; padding-top: min(10vh, 6rem); }
@media (min-width: 60rem) {
  .signed-in { display: grid; grid-template: auto 1fr / 14rem minmax(0, 1fr); min-height: 100vh; }
  .signed-in .top { grid-column: 1 / -1; padding-inline: 1.5rem; }
  .sections { border: 0; border-right: 1px solid var(--line); }
  .sections ul { display: block; position: sticky; top: 0; padding: 1rem 0.75rem; }
  .sections a { padding: 0.4375rem 0.75rem; border: 0; border-radius: 6px; margin-bottom: 2px; }
  .sections a:hover { background: var(--sunken); }
  .sections a[aria-current] { background: var(--accent-ground); color: var(--accent); }
  .signed-in main { padding: 2rem 2.5rem 5rem; margin: 0; width: 100%; }
}
@media (min-width: 110rem) { .signed-in main { max-width: 84rem; margin-inline: auto; } }

/* What a page begins with. */
.heading { display: flex; flex-wrap: wrap; align-items: end; justify-content: space-between; gap: 1rem; }
.heading > div:first-child { min-width: 0; max-width: 44rem; }
.lead { color: var(--muted); margin-top: 0.25rem; }
.back { font-size: var(--small); margin-bottom: 0.25rem; }
.back a { text-decoration: none; }
.actions { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: center; }

/* Boxes. */
.card { background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius); padding: 1.25rem; }
.card > h2 + * { margin-top: 0.75rem; }
.card > * + * { margin-top: 1rem; }
.card-head { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: 0.5rem 1rem; }
.stack > * + * { margin-top: 1rem; }
.stack > [type=hidden] + *, .actions form > * { margin-top: 0; }
legend + .hint { margin-top: 0.25rem; }
.grid { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1.25rem; }
@media (min-width: 76rem) { .grid.two { grid-template-columns: repeat(2, minmax(0, 1fr)); align-items: start; } }
.notice { border: 1px solid var(--line); border-left: 3px solid var(--edge); border-radius: 6px; background: var(--surface); padding: 0.75rem 1rem; }
.notice.ok { border-left-color: var(--ok); background: var(--ok-ground); }
.notice.warn { border-left-color: var(--warn); background: var(--warn-ground); }
.notice.bad { border-left-color: var(--bad); background: var(--bad-ground); }
.notice > * + * { margin-top: 0.5rem; }
.notice ul { list-style: disc; padding-left: 1.25rem; }
.empty { border: 1px dashed var(--edge); border-radius: var(--radius); padding: 2rem 1.25rem; text-align: center; }
.empty > * { max-width: 34rem; margin-inline: auto; }
.empty > * + * { margin-top: 0.75rem; }
.empty p { color: var(--muted); }
.badges { display: inline-flex; flex-wrap: wrap; gap: 0.375rem; }
.badge { display: inline-block; padding: 0.0625rem 0.5rem; border-radius: 0.75rem; font-size: var(--small); background: var(--sunken); color: var(--muted); border: 1px solid var(--line); }
.badge.ok { color: var(--ok); background: var(--ok-ground); border-color: transparent; }
.badge.warn { color: var(--warn); background: var(--warn-ground); border-color: transparent; }
.badge.bad { color: var(--bad); background: var(--bad-ground); border-color: transparent; }
.facts { display: grid; gap: 0.625rem; }
.facts > div { display: grid; gap: 0 1rem; }
.facts dt { color: var(--muted); }
.facts dd { min-width: 0; overflow-wrap: anywhere; }
@media (min-width: 36rem) { .facts > div { grid-template-columns: minmax(8rem, 11rem) minmax(0, 1fr); } }
.pages { display: flex; justify-content: space-between; align-items: center; gap: 1rem; }
.pages .button { margin-left: auto; }

/* Buttons and fields. */
button, .button {
  display: inline-block; font: inherit; font-weight: 550; line-height: 1.4; padding: 0.4375rem 0.875rem; border-radius: 6px; cursor: pointer;
  border: 1px solid var(--edge); background: var(--surface); color: var(--text); text-decoration: none; text-align: center;
}
button:hover, .button:hover { background: var(--sunken); color: var(--text); }
button.primary, .button.primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
button.primary:hover, .button.primary:hover { background: var(--accent-strong); border-color: var(--accent-strong); color: var(--on-accent); }
button.danger, .button.danger { color: var(--bad); border-color: var(--bad); }
button.danger:hover, .button.danger:hover { background: var(--bad-ground); color: var(--bad); }
button.quiet { border-color: transparent; background: transparent; color: var(--accent); padding-inline: 0.5rem; white-space: nowrap; }
button.quiet:hover { background: var(--sunken); }
button:disabled { cursor: not-allowed; color: var(--muted); background: var(--sunken); border-color: var(--line); }
button[aria-busy] { opacity: 0.6; cursor: progress; }
label, legend, .label { font-weight: 550; padding: 0; }
.field > * + * { margin-top: 0.25rem; }
input:not([type=checkbox], [type=radio]), select, textarea {
  font: inherit; width: 100%; padding: 0.4375rem 0.625rem; color: var(--text); background: var(--surface); border: 1px solid var(--edge); border-radius: 6px;
}
input::placeholder, textarea::placeholder { color: var(--muted); opacity: 1; }
.check { display: flex; gap: 0.625rem; align-items: baseline; }
.check input { flex: none; width: 1rem; height: 1rem; margin: 0; position: relative; top: 0.125rem; accent-color: var(--accent); }
.check label { font-weight: 400; }
.choices > * + *, .checks > * + * { margin-top: 0.5rem; }
.filters { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: end; }
.filters .field { flex: 1 1 9rem; }
.filters .grow { flex: 3 1 14rem; }
.inline { display: inline; }
.copyable + .copyable { margin-top: 0.75rem; }
.value { display: flex; align-items: center; gap: 0.5rem; background: var(--sunken); border: 1px solid var(--line); border-radius: 6px; padding: 0.375rem 0.375rem 0.375rem 0.75rem; margin-top: 0.25rem; min-height: 2.75rem; }
.value code { flex: 1; min-width: 0; user-select: all; }
.value .copy { padding: 0.1875rem 0.625rem; font-size: var(--small); }
pre { margin: 0; padding: 0.75rem; background: var(--sunken); border: 1px solid var(--line); border-radius: 6px; overflow-x: auto; }
.code { position: relative; }
.code .copy { position: absolute; right: 0.375rem; top: 0.375rem; padding: 0.1875rem 0.625rem; font-size: var(--small); }
details > summary { cursor: pointer; font-weight: 550; padding: 0.375rem 0; }
.table details > summary { font-weight: 400; padding: 0; white-space: nowrap; }
.changes > * + * { margin-top: 0.25rem; }
details > * + * { margin-top: 0.5rem; }
.snippets details { border-top: 1px solid var(--line); }
.snippets details[open] { padding-bottom: 0.75rem; }

/* Tables; where there is no room, a card a row. */
.table { width: 100%; border-collapse: separate; border-spacing: 0; background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius); }
.card .table { border: 0; border-radius: 0; background: none; }
.table th { text-align: left; font-weight: 550; color: var(--muted); font-size: var(--small); }
.table th, .table td { padding: 0.625rem 0.875rem; vertical-align: top; border-bottom: 1px solid var(--line); }
.table th { white-space: nowrap; }
.table td { overflow-wrap: anywhere; }
.table td .badge, .table td li > strong { overflow-wrap: break-word; }
.table tr:last-child td { border-bottom: 0; }
.table td > div > .muted { white-space: nowrap; }
.table .number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.card .table th:first-child, .card .table td:first-child { padding-left: 0; }
.card .table th:last-child, .card .table td:last-child { padding-right: 0; }
@media (max-width: 47.99rem) {
  .table, .table tbody, .table tr, .table td { display: block; }
  .table { position: relative; }
  .table thead { position: absolute; left: 0; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .table tr { padding: 0.75rem 0.875rem; border-bottom: 1px solid var(--line); }
  .card .table tr { padding-inline: 0; }
  .table tr:last-child { border-bottom: 0; }
  .table td, .card .table td { padding: 0.125rem 0; border: 0; display: grid; grid-template-columns: 6.25rem minmax(0, 1fr); gap: 0 0.75rem; }
  .table td::before { content: attr(data-label); color: var(--muted); font-size: var(--small); }
  .table td:first-child { display: block; padding-bottom: 0.25rem; }
  .table td:first-child::before { content: none; }
  .table .number { text-align: left; }
}

/* Permissions, ticked. */
.scroll { overflow-x: auto; }
.matrix { border-collapse: collapse; width: 100%; }
.matrix th, .matrix td { padding: 0.4375rem 0.5rem; border-bottom: 1px solid var(--line); text-align: center; }
.matrix th[scope=row] { text-align: left; font-weight: 400; overflow-wrap: anywhere; min-width: 6rem; }
.matrix thead th { font-size: var(--small); color: var(--muted); font-weight: 550; }
.matrix thead th:first-child { text-align: left; }
@media (max-width: 30rem) { .matrix th, .matrix td { padding-inline: 0.125rem; } .matrix thead th { font-size: 0.6875rem; } .matrix th[scope=row] { min-width: 3.5rem; } }
.matrix input { width: 1.125rem; height: 1.125rem; margin: 0.125rem; accent-color: var(--accent); vertical-align: middle; }
.matrix .used { display: block; font-size: 0.75rem; color: var(--ok); }
.matrix .unused { display: block; font-size: 0.75rem; color: var(--muted); }

/* Use by the hour. */
.chart { display: grid; gap: 0.375rem; }
.chart svg { display: block; width: 100%; height: 9rem; background: linear-gradient(var(--line), var(--line)) bottom / 100% 1px no-repeat; }
.chart .current { fill: var(--bar-current); }
.chart .retiring { fill: var(--bar-retiring); }
.chart .other { fill: var(--bar-other); }
.chart .refused { fill: var(--bar-refused); }
.chart .axis { display: flex; justify-content: space-between; color: var(--muted); font-size: var(--small); font-variant-numeric: tabular-nums; }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; font-size: var(--small); }
.legend li { display: flex; align-items: center; gap: 0.375rem; }
.legend svg { width: 0.75rem; height: 0.75rem; background: none; }
.tabs { display: flex; flex-wrap: wrap; gap: 0.25rem; }
.tabs a { padding: 0.1875rem 0.625rem; border-radius: 6px; text-decoration: none; font-size: var(--small); color: var(--muted); }
.tabs a[aria-current] { background: var(--accent-ground); color: var(--accent); font-weight: 600; }
.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: 1rem; }
.numbers dt { color: var(--muted); font-size: var(--small); }
.numbers dd { font-size: var(--large); font-weight: 600; font-variant-numeric: tabular-nums; }
@media (prefers-reduced-motion: no-preference) { a, button, .button { transition: background-color 0.1s, border-color 0.1s; } }
@media (forced-colors: active) { .badge, .notice { border-color: CanvasText; } .chart rect { forced-color-adjust: none; } }
`;
