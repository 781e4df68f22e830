/** Numbers as people read them. All of them return plain text without markup. */

/** `10,224` */
export const count = (n: number): string => n.toLocaleString("en-US", { maximumFractionDigits: 0 });

/** Four significant digits, without trailing zeros; exponents only where they are shorter. */
export function num(v: number, digits = 4): string {
  if (Number.isNaN(v)) return "nan";
  if (!Number.isFinite(v)) return v > 0 ? "inf" : "-inf";
  if (Number.isInteger(v) && Math.abs(v) < 1e6) return String(v);
  const size = Math.abs(v);
  if (size >= 10 ** digits && size < 1e6) return count(v);
  const text = size !== 0 && (size < 1e-4 || size >= 1e6) ? v.toExponential(digits - 2) : v.toPrecision(digits);
  return text.includes(".") ? text.replace(/\.?0+(e|$)/, "$1") : text;
}

/** `1.5 MB`, in powers of 1,000. */
export function bytes(n: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  let v = n;
  while (v >= 999.5 && i < units.length - 1) {
    v /= 1000;
    i++;
  }
  return `${i === 0 || v >= 100 ? Math.round(v) : v.toPrecision(2)} ${units[i]}`;
}

/** `12.3 %` */
export const percent = (share: number, digits = 1): string => `${(100 * share).toFixed(digits)} %`;

/** A token's text with its white space made visible, cut to `width`. */
export function token(text: string, width = 24): string {
  const visible = text
    .replaceAll("\n", "⏎")
    .replaceAll("\t", "⇥")
    .replaceAll("\r", "␍")
    .replace(/^ +| +$/g, (s) => "·".repeat(s.length));
  return clip(visible, width);
}

/** Cuts to `width` characters, the last one then being an ellipsis. */
export function clip(text: string, width: number): string {
  const points = [...text];
  return points.length <= width ? text : `${points.slice(0, width - 1).join("")}…`;
}

export const escapeHtml = (s: string): string =>
  s.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

/** Columns a monospace terminal gives to the text: wide East Asian characters and emoji take two, combining marks none. */
export function widthOf(text: string): number {
  let w = 0;
  for (const ch of text) {
    const c = ch.codePointAt(0)!;
    if (/\p{Mn}|\p{Me}|\p{Cf}/u.test(ch)) continue;
    w +=
      c >= 0x1100 &&
      (c <= 0x115f ||
        (c >= 0x2e80 && c <= 0xa4cf) ||
        (c >= 0xac00 && c <= 0xd7a3) ||
        (c >= 0xf900 && c <= 0xfaff) ||
        (c >= 0xfe30 && c <= 0xfe6f) ||
        (c >= 0xff00 && c <= 0xff60) ||
        (c >= 0xffe0 && c <= 0xffe6) ||
        (c >= 0x1f300 && c <= 0x1faff) ||
        (c >= 0x20000 && c <= 0x3fffd))
        ? 2
        : 1;
  }
  return w;
}

export const padEnd = (text: string, width: number): string => text + " ".repeat(Math.max(0, width - widthOf(text)));
export const padStart = (text: string, width: number): string => " ".repeat(Math.max(0, width - widthOf(text))) + text;

const BARS = "▁▂▃▄▅▆▇█";

/** A line of bars from 0 to `top` (the largest, unless given). */
export function sparkline(values: ArrayLike<number>, top?: number): string {
  const list = Array.from(values);
  const most = top ?? Math.max(...list.filter(Number.isFinite), 0);
  return list
    .map((v) => (Number.isFinite(v) ? BARS[Math.min(7, Math.max(0, Math.floor((v / (most || 1)) * 8)))] : " "))
    .join("");
}
