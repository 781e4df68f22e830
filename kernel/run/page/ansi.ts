/** Terminal text to HTML: SGR colours become classes, other control sequences go, a carriage return starts its line again. */
import { escapeHtml } from "./sanitize.ts";

const NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

interface Style {
  classes: Set<string>;
  color?: string;
  background?: string;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the matter here
const SEQUENCE = /\x1b\[([0-9;]*)m|\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])/g;

export function ansiToHtml(raw: string): string {
  const source = overwritten(raw);
  const style: Style = { classes: new Set() };
  let out = "";
  let end = 0;
  for (const match of source.matchAll(SEQUENCE)) {
    out += span(source.slice(end, match.index), style);
    end = match.index + match[0].length;
    if (match[1] !== undefined) apply(match[1], style);
  }
  return out + span(source.slice(end), style);
}

/** What a terminal would show of `10%\r20%\r30%\n`. */
function overwritten(raw: string): string {
  return raw
    .replace(/\r\n/g, "\n")
    .replace(/[^\n]*\r(?!$)/g, "")
    .replace(/\r$/, "");
}

function span(text: string, { classes, color, background }: Style): string {
  if (!text) return "";
  const names = [...classes].map((name) => `ansi-${name}`).join(" ");
  const css = [color && `color:${color}`, background && `background:${background}`].filter(Boolean).join(";");
  if (!names && !css) return escapeHtml(text);
  return `<span${names ? ` class="${names}"` : ""}${css ? ` style="${css}"` : ""}>${escapeHtml(text)}</span>`;
}

const FLAGS: Record<number, string> = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "strike" };

function apply(parameters: string, style: Style): void {
  const codes = parameters.split(";").map(Number);
  const drop = (...prefixes: string[]) => {
    for (const name of style.classes)
      if (prefixes.some((prefix) => name.startsWith(prefix))) style.classes.delete(name);
  };
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    if (code === 0) {
      style.classes.clear();
      style.color = style.background = undefined;
    } else if (FLAGS[code]) style.classes.add(FLAGS[code]);
    else if (code === 22) drop("bold", "dim");
    else if (code === 23) drop("italic");
    else if (code === 24) drop("underline");
    else if (code === 27) drop("inverse");
    else if (code === 29) drop("strike");
    else if (code === 38 || code === 48) {
      const [value, used] = extended(codes.slice(i + 1));
      i += used;
      if (code === 38) style.color = value;
      else style.background = value;
    } else if (code === 39 || code === 49) {
      drop(code === 39 ? "fg-" : "bg-");
      if (code === 39) style.color = undefined;
      else style.background = undefined;
    } else {
      const foreground = (code >= 30 && code <= 37) || (code >= 90 && code <= 97);
      const background = (code >= 40 && code <= 47) || (code >= 100 && code <= 107);
      if (!foreground && !background) continue;
      const kind = foreground ? "fg" : "bg";
      drop(`${kind}-`);
      style.classes.add(`${kind}-${code >= 90 ? "bright-" : ""}${NAMES[code % 10]}`);
    }
  }
}

/** `5;n` of the 256-colour palette, or `2;r;g;b`. */
function extended(codes: number[]): [string | undefined, number] {
  if (codes[0] === 2) return [`rgb(${codes.slice(1, 4).map((c) => Math.min(255, c || 0))})`, 4];
  if (codes[0] !== 5) return [undefined, 1];
  const n = Math.min(255, codes[1] || 0);
  if (n >= 232) return [`rgb(${Array(3).fill(8 + (n - 232) * 10)})`, 2];
  if (n >= 16)
    return [`rgb(${[36, 6, 1].map((unit) => [0, 95, 135, 175, 215, 255][Math.floor((n - 16) / unit) % 6])})`, 2];
  const base = [
    "#000",
    "#c33",
    "#393",
    "#a70",
    "#36c",
    "#939",
    "#088",
    "#bbb",
    "#777",
    "#f55",
    "#5c5",
    "#fd5",
    "#59f",
    "#d7d",
    "#5dd",
    "#fff",
  ];
  return [base[n], 2];
}
