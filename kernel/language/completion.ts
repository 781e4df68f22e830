/** The server's completion list and the live values, as one list of texts for one range. */
import type { Completions, LiveValues } from "../bridge/language.ts";
import { HEADER_LINES } from "./cells.ts";

type Item = Completions["items"][number];

interface ServerItem {
  label: string;
  kind?: number;
  sortText?: string;
  insertText?: string;
  detail?: string;
  labelDetails?: { detail?: string };
  textEdit?: { newText: string; range?: Range; replace?: Range };
}
interface Range {
  start: { line: number; character: number };
  end: { line: number; character: number };
}

/** Names of LSP's CompletionItemKind, as JupyterLab has icons for them. */
const KINDS: Record<number, string> = {
  2: "method", 3: "function", 4: "class", 5: "property", 6: "variable", 7: "class", 8: "interface", 9: "module", 10: "property",
  12: "value", 13: "enum", 14: "keyword", 17: "file", 19: "folder", 20: "enum", 21: "constant", 25: "type",
}; // biome-ignore format: a table

const WORD_BEFORE = /[\p{ID_Continue}$]*$/u;
const MOST = 500;

/** What the server's answer offers for the text at the cursor. Keywords only once something was typed: an empty place is for names. */
export function typed(answer: unknown, code: string, cursor: number): Completions {
  const word = WORD_BEFORE.exec(code.slice(0, cursor))![0];
  const raw = (
    Array.isArray(answer) ? answer : ((answer as { items?: ServerItem[] } | null)?.items ?? [])
  ) as ServerItem[];
  const lines = lineStarts(code);
  const offset = ({ line, character }: Range["start"]) => (lines[line - HEADER_LINES] ?? 0) + character;
  if (!raw.length) return { items: [], start: cursor - word.length, end: cursor };
  const edits = raw.map((item) => {
    const range = item.textEdit?.range ?? item.textEdit?.replace;
    return {
      item,
      text: item.textEdit?.newText ?? item.insertText ?? item.label,
      start: range ? offset(range.start) : cursor - word.length,
      end: range ? offset(range.end) : cursor,
    };
  });
  // A front end replaces one range. Items for another one (`["a-b"]`, which would replace the dot) stay out.
  const { start, end } = edits.find((edit) => edit.start === cursor - word.length) ?? mostCommon(edits);
  const items: (Item & { sort: string })[] = [];
  for (const { item, text, start: from } of edits) {
    if (from !== start) continue;
    const type = KINDS[item.kind ?? 0] ?? "text";
    if (type === "keyword" && !word) continue;
    if (!fits(item.label, word)) continue;
    const signature =
      item.labelDetails?.detail ?? (item.detail && item.detail !== item.label ? item.detail : undefined);
    items.push({ text, type, ...(signature && { signature }), sort: rank(item, word) });
  }
  items.sort((a, b) => (a.sort < b.sort ? -1 : a.sort > b.sort ? 1 : 0));
  return { items: items.slice(0, MOST).map(({ sort: _, ...item }) => item), start, end };
}

function mostCommon<T extends { start: number }>(edits: T[]): T {
  const votes = new Map<number, number>();
  for (const { start } of edits) votes.set(start, (votes.get(start) ?? 0) + 1);
  return edits.reduce((best, edit) => (votes.get(edit.start)! > votes.get(best.start)! ? edit : best));
}

const fits = (label: string, word: string) =>
  label
    .replace(/^["'[]+/, "")
    .toLowerCase()
    .startsWith(word.toLowerCase());

/** Same case first, then the server's own order, then the alphabet with `_private` last. */
function rank(item: ServerItem, word: string): string {
  return `${item.label.startsWith(word) ? 0 : 1}${item.sortText ?? ""}${item.label.startsWith("_") ? "~" : ""}${item.label}`;
}

function lineStarts(code: string): number[] {
  const starts = [0];
  for (const { index, 0: text } of code.matchAll(/\r\n|\r|\n/g)) starts.push(index + text.length);
  return starts;
}

const NAME = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u;

/** `a.b["c"].na|` is the member `na` of `a.b["c"]`: names, dots and constant indices only, since looking must not call anything. */
const MEMBER =
  /((?:[\p{ID_Start}$_][\p{ID_Continue}$]*)(?:\.[\p{ID_Start}$_][\p{ID_Continue}$]*|\[(?:\d+|"[^"\\\n]*"|'[^'\\\n]*')\])*)\??\.([\p{ID_Continue}$]*)$/u;

/** Every object has them; nobody looks for them in a list. */
const EVERYWHERE = new Set(Object.getOwnPropertyNames(Object.prototype));

/** What live values know at the cursor. */
export async function alive(live: LiveValues, code: string, cursor: number): Promise<Completions> {
  const before = code.slice(0, cursor);
  const word = WORD_BEFORE.exec(before)![0];
  const range = { start: cursor - word.length, end: cursor };
  const member = MEMBER.exec(before);
  if (member) {
    const wanted = ({ name }: { name: string }): boolean =>
      fits(name, word) && NAME.test(name) && (word !== "" || !EVERYWHERE.has(name));
    const found = ((await live.properties(member[1])) ?? []).filter(wanted);
    return { items: found.map(({ name, type }) => ({ text: name, type })), ...range };
  }
  // After another dot, inside a string, or among an import's names, a variable is not what is wanted.
  if (/[."'`]$|\bimport\b[^;\n]*$/u.test(before.slice(0, range.start))) return { items: [], ...range };
  return {
    items: (await live.names()).filter((name) => fits(name, word)).map((text) => ({ text, type: "variable" })),
    ...range,
  };
}

/** Types first. Values add names that no cell declares; of members they speak only where types know none (`any`). */
export function merged(types: Completions, values: Completions, code: string): Completions {
  if (!types.items.length) return values;
  if (types.start !== values.start || types.end !== values.end || code[types.start - 1] === ".") return types;
  const known = new Set(types.items.map((item) => item.text));
  return { ...types, items: [...types.items, ...values.items.filter((item) => !known.has(item.text))] };
}
