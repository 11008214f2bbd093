/** Style sheets that give pages the accent colour of an organization, with enough contrast in both themes. */

type Rgb = readonly [red: number, green: number, blue: number];

/** The backgrounds of console.css on which the accent colour is text; the one with the least contrast of each theme. */
const [lightGround, darkGround] = ['#f1f2f5', '#181b21'];
/** Contrast of text (WCAG 2.2, success criterion 1.4.3). */
const minContrast = 4.5;

/** Returns the name of the style sheet of a colour. @param color `#rrggbb`. */
export function accentName(color: string): string {
  return `accent.${color.slice(1).toLowerCase()}.css`;
}

/** Returns the style sheet with a name, or undefined if there is none. It depends on the name alone. */
export function accentStyle(name: string): string | undefined {
  const [, digits] = /^accent\.([0-9a-f]{6})\.css$/.exec(name) ?? [];
  if (digits === undefined) return undefined;
  const dark = '@media (prefers-color-scheme: dark)';
  return `:root { ${colorsOn('light', `#${digits}`)} }\n${dark} { :root { ${colorsOn('dark', `#${digits}`)} } }\n`;
}

function colorsOn(theme: 'light' | 'dark', color: string): string {
  const [ground, away, onAccent] =
    theme === 'light' ? [lightGround, '#000000', '#ffffff'] : [darkGround, '#ffffff', '#0b0d11'];
  const groundOf = (accent: Rgb) => mix(rgbOf(theme === 'light' ? '#ffffff' : ground), accent, 0.12);
  let accent = rgbOf(color);
  for (let step = 0; step < 50 && !isReadable(accent); step++) accent = mix(accent, rgbOf(away), 0.06);
  const strong = mix(accent, rgbOf(away), 0.25);
  return [
    `--accent: ${hexOf(accent)};`,
    `--accent-strong: ${hexOf(strong)};`,
    `--on-accent: ${onAccent};`,
    `--accent-ground: ${hexOf(groundOf(accent))};`,
    `--bar-current: ${hexOf(accent)};`,
  ].join(' ');

  function isReadable(candidate: Rgb): boolean {
    const grounds = [rgbOf(ground), groundOf(candidate), rgbOf(onAccent)];
    return grounds.every((each) => contrast(candidate, each) >= minContrast);
  }
}

function rgbOf(color: string): Rgb {
  const at = (index: number) => Number.parseInt(color.slice(index, index + 2), 16);
  return [at(1), at(3), at(5)];
}

function hexOf(color: Rgb): string {
  return `#${color.map((part) => part.toString(16).padStart(2, '0')).join('')}`;
}

function mix(from: Rgb, to: Rgb, share: number): Rgb {
  const part = (index: 0 | 1 | 2) => Math.round(from[index] + (to[index] - from[index]) * share);
  return [part(0), part(1), part(2)];
}

/** Contrast ratio (WCAG 2.2). */
function contrast(one: Rgb, other: Rgb): number {
  const [lighter = 0, darker = 0] = [luminance(one), luminance(other)].sort((first, second) => second - first);
  return (lighter + 0.05) / (darker + 0.05);
}

function luminance(color: Rgb): number {
  const [red = 0, green = 0, blue = 0] = color.map((part) => {
    const value = part / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
