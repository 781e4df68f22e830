/** The server's diagnostics, in the user's own lines and columns, and as text for those who read them. */
import { fileURLToPath } from "node:url";
import type { Diagnostic } from "../bridge/language.ts";
import { type Cells, HEADER_LINES } from "./cells.ts";

interface Range {
  start: { line: number; character: number };
  end: { line: number; character: number };
}
export interface ServerDiagnostic {
  range: Range;
  severity: number;
  code: number;
  message: string;
  relatedInformation?: { message: string; location: { uri: string; range: Range } }[];
}

const ERROR = 1;
/** "… implicitly has an 'any' type" and its kin: fair in a project, noise in a notebook. The option stays on because it is what lets `let found = []` grow its type. */
const isImplicitAny = (code: number) => code >= 7005 && code <= 7057;
/** Declared again from its own old value (`const rows = rows.slice(1)`): the session allows it. */
const USED_BEFORE = new Set([2448, 2454]);

/** A notebook has no compiler options to change. */
const LIBRARY_ADVICE = /Do you need to change your target library\?.*$/;

export function diagnostics(raw: ServerDiagnostic[], uri: string, code: string, cells: Cells): Diagnostic[] {
  const lines = code.split(/\r\n|\r|\n/);
  const own = fileOf(uri);
  const found: Diagnostic[] = [];
  for (const { range, severity, code: number, message, relatedInformation } of raw) {
    if (severity !== ERROR || isImplicitAny(number) || range.start.line < HEADER_LINES) continue;
    const start = { line: range.start.line - HEADER_LINES, column: range.start.character };
    const end = { line: range.end.line - HEADER_LINES, column: range.end.character };
    if (
      USED_BEFORE.has(number) &&
      cells.knows(lines[start.line]?.slice(start.column, end.line === start.line ? end.column : undefined) ?? "")
    )
      continue;
    const related = (relatedInformation ?? []).map(({ message: text, location }) => {
      const here = fileOf(location.uri) === own && location.range.start.line === range.start.line;
      const at = here ? "" : place(location, cells);
      return at ? `${text} (${at})` : text;
    });
    found.push({
      severity: "error",
      code: number,
      message: message.replace(LIBRARY_ADVICE, `Node ${process.versions.node} does not have it.`),
      related,
      start,
      end,
    });
  }
  return found.sort((a, b) => a.start.line - b.start.line || a.start.column - b.start.column);
}

const fileOf = (uri: string): string => (uri.startsWith("file:") ? fileURLToPath(uri) : "");

function place({ uri, range }: { uri: string; range: Range }, cells: Cells): string {
  const file = fileOf(uri);
  const cell = cells.at(file);
  if (cell)
    return range.start.line < HEADER_LINES ? "" : `cell ${cell.count}, line ${range.start.line - HEADER_LINES + 1}`;
  // Declaration files are not the reader's, and the message names what they declare.
  return file && !file.endsWith(".d.ts") ? `${file}:${range.start.line + 1}` : "";
}

export interface RenderOptions {
  /** What the cell is called, e.g. "cell 3". */
  name?: string;
  color?: boolean;
  /** Shows the first so many; says how many more there are. */
  limit?: number;
}

/**
 * Diagnostics as a terminal shows them: place and message, the line, a squiggle under the fault.
 * ```text
 * cell 3, line 1, column 13: Property 'rezid' does not exist on type 'Layer'. Did you mean 'resid'? (TS2551)
 *   1 | at.layer(3).rezid
 *     |             ~~~~~
 * ```
 */
export function renderDiagnostics(
  code: string,
  list: Diagnostic[],
  { name = "cell", color = false, limit = 10 }: RenderOptions = {},
): string {
  const paint = (sgr: string, text: string) => (color ? `\x1b[${sgr}m${text}\x1b[0m` : text);
  const lines = code.split(/\r\n|\r|\n/);
  const out: string[] = [];
  for (const { message, related, start, end, code: number } of list.slice(0, limit)) {
    const line = lines[start.line] ?? "";
    const [first, ...rest] = message.split("\n");
    out.push(
      `${paint("36", `${name}, line ${start.line + 1}, column ${start.column + 1}`)}: ${first} ${paint("2", `(TS${number})`)}`,
    );
    for (const more of rest) out.push(`  ${more}`);
    const gutter = String(start.line + 1);
    const to = end.line === start.line ? end.column : line.length;
    // Tabs stay tabs under the line, so that the squiggle stands where it should at any tab width.
    const pad = line.slice(0, start.column).replace(/[^\t]/g, " ");
    out.push(`${paint("2", `  ${gutter} | `)}${line}`);
    out.push(
      `${paint("2", `  ${" ".repeat(gutter.length)} | `)}${pad}${paint("33", "~".repeat(Math.max(1, to - start.column)))}`,
    );
    for (const text of related) out.push(`    ${text}`);
  }
  if (list.length > limit) out.push(`and ${list.length - limit} more type errors`);
  return out.join("\n");
}
