// Optional enhancements of the console in the browser. Every page works without this script.

/** The language of the page, and the texts of this script in it. */
const { lang } = document.documentElement;
const texts = JSON.parse(document.body.dataset.texts);

/** Lets screen readers say a text. */
function announce(text) {
  document.getElementById('announcement').textContent = text;
}

// Copy buttons are hidden until the script runs.
for (const button of document.querySelectorAll('[data-copy]')) {
  button.hidden = false;
  button.addEventListener('click', async () => {
    announce('');
    const { copy, label } = button.dataset;
    const said = button.dataset.said ?? button.textContent;
    button.dataset.said = said;
    const source = document.getElementById(copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = texts.copied;
    } catch {
      // Browsers may deny clipboard access without TLS. Select the text, so that it can be copied by keyboard.
      getSelection().selectAllChildren(source);
      button.textContent = document.execCommand('copy') ? texts.copied : texts.selected;
    }
    announce(`${label}: ${button.textContent.toLocaleLowerCase(lang)}`);
    setTimeout(() => {
      button.textContent = said;
    }, 2000);
  });
}

// Count down the remaining time.
const clocks = document.querySelectorAll('[data-ends]');
function tick() {
  for (const clock of clocks) {
    const seconds = Math.max(0, Math.floor((Date.parse(clock.dataset.ends) - Date.now()) / 1000));
    const left = { '{minutes}': Math.floor(seconds / 60), '{seconds}': String(seconds % 60).padStart(2, '0') };
    clock.textContent =
      seconds === 0 ? texts.expired : texts.timeLeft.replace(/\{\w+\}/g, (name) => left[name] ?? name);
  }
}
if (clocks.length > 0) setInterval(tick, 1000);

// Show times in the time zone of the viewer, with UTC as the title. English has ISO 8601, like the server.
const day = { month: '2-digit', day: '2-digit' };
const minute = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
const clock = new Intl.DateTimeFormat(lang === 'en' ? 'sv-SE' : lang, { year: 'numeric', ...day, ...minute });
const hours = new Intl.DateTimeFormat(lang, { ...day, ...minute });
const zone = new Intl.DateTimeFormat(lang, { timeZoneName: 'short' });
function localTime(date) {
  return `${clock.format(date)} ${zone.formatToParts(date).find(({ type }) => type === 'timeZoneName').value}`;
}
for (const time of document.querySelectorAll('time[datetime]')) {
  const date = new Date(time.dateTime);
  const local = localTime(date);
  if ('exact' in time.dataset) time.textContent = local;
  else if (time.dataset.axis === 'hour') time.textContent = lang === 'en' ? local.slice(5, 16) : hours.format(date);
  else if (!time.dataset.axis) time.title = `${local} (${time.title})`;
}

// Select the offset of the viewer's time zone at the chosen date. Without a script, it is UTC until it is chosen.
for (const input of document.querySelectorAll('[name=ends_at]')) {
  const zoneField = input.form.elements.ends_offset;
  let isChosen = false;
  zoneField.addEventListener('change', () => {
    isChosen = true;
  });
  input.addEventListener('change', () => {
    const minutes = -new Date(input.value).getTimezoneOffset();
    if (isChosen || Number.isNaN(minutes)) return;
    const digits = (number) => String(number).padStart(2, '0');
    const size = Math.abs(minutes);
    const offset = `${minutes < 0 ? '-' : '+'}${digits(Math.floor(size / 60))}:${digits(size % 60)}`;
    if ([...zoneField.options].some(({ value }) => value === offset)) zoneField.value = offset;
  });
}

const find = document.getElementById('find');

/** Asks the search of the server. Resolves to the element with its results, or to undefined if it cannot be reached. */
async function search(q) {
  if (!find) return undefined;
  const answer = await fetch(`${find.form.action}?${new URLSearchParams({ q })}`).catch(() => undefined);
  if (!answer) return undefined;
  return new DOMParser().parseFromString(await answer.text(), 'text/html').getElementById('results') ?? undefined;
}

// Suggest contacts and clients while their name is typed. In a field of several lines, the line with the cursor counts.
for (const field of document.querySelectorAll('[data-pick]:is(input, textarea):not([readonly])')) {
  const kinds = field.dataset.pick.split(' ');
  const list = document.createElement('ul');
  Object.assign(list, { id: `${field.id}-options`, className: 'options', role: 'listbox', hidden: true });
  list.setAttribute('aria-label', texts.suggestions);
  field.after(list);
  // A field of several lines cannot be a combobox (ARIA in HTML).
  const isCombobox = field.matches('input');
  if (isCombobox) field.setAttribute('role', 'combobox');
  field.setAttribute('aria-autocomplete', 'list');
  field.setAttribute('aria-controls', list.id);
  let asked = 0;
  let chosen = -1;
  const line = () => {
    const start = field.value.lastIndexOf('\n', field.selectionStart - 1) + 1;
    const end = field.value.indexOf('\n', start);
    return [start, end === -1 ? field.value.length : end];
  };
  const show = (options) => {
    list.replaceChildren(...options);
    list.hidden = options.length === 0;
    if (isCombobox) field.setAttribute('aria-expanded', String(!list.hidden));
    field.removeAttribute('aria-activedescendant');
    chosen = -1;
  };
  const choose = (index) => {
    list.children[chosen]?.setAttribute('aria-selected', 'false');
    chosen = (index + list.children.length) % list.children.length;
    list.children[chosen].setAttribute('aria-selected', 'true');
    list.children[chosen].scrollIntoView({ block: 'nearest' });
    field.setAttribute('aria-activedescendant', list.children[chosen].id);
  };
  const take = (option) => {
    const [start, end] = line();
    field.setRangeText(option.dataset.value, start, end, 'end');
    show([]);
    field.focus();
  };
  field.addEventListener('input', () => {
    const number = ++asked;
    setTimeout(async () => {
      const q = field.value.slice(...line()).trim();
      if (number !== asked) return;
      const results = q === '' ? undefined : await search(q);
      // Suggestions for an earlier text must not replace later ones.
      if (number !== asked || document.activeElement !== field) return;
      const found = [...(results?.querySelectorAll('[data-pick]') ?? [])].filter((one) =>
        kinds.includes(one.dataset.kind),
      );
      show(
        found.map((one, index) => {
          const option = document.createElement('li');
          Object.assign(option, { id: `${list.id}-${index}`, role: 'option', ariaSelected: 'false' });
          option.dataset.value = one.dataset.pick;
          option.append(...one.childNodes);
          for (const link of option.querySelectorAll('a')) link.replaceWith(...link.childNodes);
          // The pointer must not take the focus from the field.
          option.addEventListener('pointerdown', (event) => event.preventDefault());
          option.addEventListener('click', () => take(option));
          return option;
        }),
      );
      announce(`${texts.suggestions}: ${found.length}`);
    }, 200);
  });
  field.addEventListener('keydown', (event) => {
    if (list.hidden) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) choose(chosen === -1 && step === -1 ? -1 : chosen + step);
    else if (event.key === 'Enter' && chosen !== -1) take(list.children[chosen]);
    else if (event.key === 'Escape') show([]);
    else return;
    event.preventDefault();
  });
  field.addEventListener('blur', () => show([]));
  show([]);
}

// Keep the focus on the control that has sent the filters of a list, unless the browser denies storage in a frame.
const keptFocus = `focus ${location.pathname}`;
try {
  document.getElementById(sessionStorage.getItem(keptFocus))?.focus();
  sessionStorage.removeItem(keptFocus);
  for (const form of document.querySelectorAll('form.filters')) {
    form.addEventListener('submit', () => sessionStorage.setItem(keptFocus, document.activeElement?.id ?? ''));
  }
} catch {
  // The page keeps no focus.
}

// Search everything: `/` or Ctrl+K moves to the field, the server is asked while typing, and arrow keys walk the results.
if (find) {
  const panel = find.form.querySelector('.found-now');
  const isTyping = ({ target }) => target.matches('input, select, textarea');
  let asked = 0;
  addEventListener('keydown', (event) => {
    const isShortcut = (event.ctrlKey || event.metaKey) && event.key === 'k';
    if (!isShortcut && (event.key !== '/' || isTyping(event))) return;
    event.preventDefault();
    find.select();
    find.focus();
  });
  find.addEventListener('input', () => {
    const number = ++asked;
    setTimeout(async () => {
      if (number !== asked) return;
      panel.hidden = find.value.trim() === '';
      if (panel.hidden) return;
      const results = await search(find.value);
      // An answer to an earlier text must not replace a later one.
      if (!results || number !== asked) return;
      panel.replaceChildren(...results.childNodes);
      announce(panel.querySelector('[data-found]')?.textContent ?? '');
    }, 200);
  });
  find.form.addEventListener('keydown', (event) => {
    const stops = [find, ...panel.querySelectorAll('a')];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === 'Escape') {
      panel.hidden = true;
      find.focus();
    } else if (step && !panel.hidden) {
      event.preventDefault();
      stops[Math.min(stops.length - 1, Math.max(0, stops.indexOf(document.activeElement) + step))].focus();
    }
  });
  find.form.addEventListener('focusout', ({ relatedTarget }) => {
    if (!find.form.contains(relatedTarget)) panel.hidden = true;
  });
}

// Choose a bar of a chart by pointer or arrow keys, and show its values.
for (const chart of document.querySelectorAll('.chart')) {
  const [plot, values] = [chart.querySelector('.bars'), chart.querySelector('.values')];
  const bars = [...plot.querySelectorAll('.bar')];
  let chosen = bars.length - 1;
  const choose = (index) => {
    bars[chosen].classList.remove('chosen');
    chosen = Math.min(bars.length - 1, Math.max(0, index));
    const { at, values: said } = bars[chosen].dataset;
    bars[chosen].classList.add('chosen');
    values.textContent = `${localTime(new Date(at))}: ${said}`;
  };
  plot.tabIndex = 0;
  plot.addEventListener('focus', () => choose(chosen));
  plot.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -bars.length, End: bars.length }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    choose(chosen + step);
  });
  for (const [index, bar] of bars.entries()) bar.addEventListener('pointerenter', () => choose(index));
}

// Scroll the navigation of narrow screens to the current section.
document.querySelector('.sections [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });

// Enable the button of a confirmation when the name has been typed.
for (const input of document.querySelectorAll('[data-expected]')) {
  const button = input.form.querySelector('button:not([type])');
  const check = () => {
    // A hidden name need not be typed.
    button.disabled = input.offsetParent !== null && input.value.trim() !== input.dataset.expected;
  };
  input.form.addEventListener('input', check);
  addEventListener('pageshow', check);
  check();
}

// Press the button of a link that a person has just opened from the page of another product.
document.querySelector('form[data-press] button')?.click();

const wrong = document.querySelector('[aria-invalid=true]');
(wrong?.matches('fieldset') ? wrong.querySelector('input') : wrong)?.focus();

// Ignore a second click while a form is being sent, until the page is shown again.
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

// Passkeys (WebAuthn). Their buttons are hidden until the script runs. The browser's answer is sent with the form.
for (const button of document.querySelectorAll('[data-passkey]')) {
  const { passkey: act, failed } = button.dataset;
  const parse = { create: 'parseCreationOptionsFromJSON', get: 'parseRequestOptionsFromJSON' }[act];
  button.hidden = !globalThis.PublicKeyCredential?.[parse];
  button.addEventListener('click', async () => {
    try {
      const answer = await fetch(button.formAction, { method: 'POST' });
      const publicKey = PublicKeyCredential[parse](await answer.json());
      const given = await navigator.credentials[act]({ publicKey });
      Object.assign(button.form.elements.passkey, { disabled: false, value: JSON.stringify(given) });
      // Without the checks of the form: the operator token is not needed then.
      button.form.submit();
    } catch {
      button.form.querySelector('[data-passkey-problem]').textContent = failed;
    }
  });
}
