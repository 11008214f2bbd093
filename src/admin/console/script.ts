/**
 * Browser script for optional enhancements; every page works without it. It is plain JavaScript because it is served
 * without a build step.
 */
export const script = `'use strict';
// Buttons that need a script are hidden until there is one.
for (const button of document.querySelectorAll('[data-copy]')) {
  button.hidden = false;
  button.addEventListener('click', async () => {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = 'Copied';
    } catch {
      // Without TLS a browser may refuse: then it is selected, and the keyboard copies it.
      getSelection().selectAllChildren(source);
      button.textContent = document.execCommand('copy') ? 'Copied' : 'Selected';
    }
    setTimeout(() => { button.textContent = 'Copy'; }, 2000);
  });
}

// Time that is left.
const clocks = document.querySelectorAll('[data-ends]');
function tick() {
  for (const clock of clocks) {
    const seconds = Math.max(0, Math.floor((Date.parse(clock.dataset.ends) - Date.now()) / 1000));
    clock.textContent = seconds === 0 ? 'ended' : Math.floor(seconds / 60) + ' min ' + String(seconds % 60).padStart(2, '0') + ' s';
  }
}
if (clocks.length > 0) setInterval(tick, 1000);

// The rows that are there, filtered as one types.
for (const input of document.querySelectorAll('[data-filters]')) {
  const rows = document.querySelectorAll('#' + input.dataset.filters + ' tbody tr');
  input.addEventListener('input', () => {
    const words = input.value.toLowerCase().split(/\\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
  });
}
for (const select of document.querySelectorAll('.filters select')) {
  select.addEventListener('change', () => select.form.requestSubmit());
}

// What is confirmed by typing a name can be sent once the name is there.
for (const input of document.querySelectorAll('[data-expected]')) {
  const button = input.form.querySelector('button:not([type])');
  const check = () => { button.disabled = input.value.trim() !== input.dataset.expected; };
  input.addEventListener('input', check);
  check();
}

// A second click on a button that is at work does nothing. Coming back to the page, it works again.
for (const form of document.querySelectorAll('form[method=post]')) {
  form.addEventListener('submit', (event) => {
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = 'yes';
    event.submitter?.setAttribute('aria-busy', 'true');
  });
}
addEventListener('pageshow', () => {
  for (const form of document.querySelectorAll('[data-sent]')) {
    delete form.dataset.sent;
    form.querySelector('[aria-busy]')?.removeAttribute('aria-busy');
  }
});
`;
