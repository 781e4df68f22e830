/** Text with styles into rows of a terminal, wrapped by us: what a terminal does at its last column differs. */
import { graphemesOf, graphemeWidth } from "./width.ts";

export interface Piece {
  text: string;
  /** SGR parameters, e.g. "1;34"; empty for none. */
  style: string;
}

export interface Rows {
  rows: string[];
  /** Where the character at `cursor` (an offset in the joined text, newlines included) stands. */
  row: number;
  column: number;
}

const TAB = 4;

/**
 * @param pieces the whole text; "\n" ends a row.
 * @param cursor offset in the text, or -1.
 * @param before what each line begins with, by its number; its columns count, its text does not count for the cursor.
 */
export function layout(pieces: Piece[], columns: number, cursor: number, before: (line: number) => Piece): Rows {
  const rows: string[] = [];
  let row = "";
  let width = 0;
  let style = "";
  let line = 0;
  let offset = 0;
  let at = { row: 0, column: 0 };
  const put = (text: string, wanted: string): void => {
    if (wanted !== style) row += `${style ? "\x1b[0m" : ""}${wanted ? `\x1b[${wanted}m` : ""}`;
    style = wanted;
    row += text;
  };
  const end = (): void => {
    rows.push(style ? `${row}\x1b[0m` : row);
    row = style = "";
    width = 0;
  };
  const begin = (): void => {
    const { text, style: wanted } = before(line++);
    for (const grapheme of graphemesOf(text)) width += graphemeWidth(grapheme);
    put(text, wanted);
  };
  const mark = (length: number): void => {
    if (cursor >= offset && cursor < offset + length) at = { row: rows.length, column: width };
    offset += length;
  };
  begin();
  for (const { text, style: wanted } of pieces) {
    for (const grapheme of graphemesOf(text)) {
      if (grapheme === "\n" || grapheme === "\r\n") {
        if (width >= columns) end();
        mark(grapheme.length);
        end();
        begin();
        continue;
      }
      const shown = grapheme === "\t" ? " ".repeat(TAB) : visible(grapheme);
      const cells =
        grapheme === "\t" ? TAB : shown.length > 1 && shown !== grapheme ? shown.length : graphemeWidth(shown);
      if (width + cells > columns) end();
      mark(grapheme.length);
      put(shown, wanted);
      width += cells;
    }
  }
  // The cursor behind the last character needs a place, too.
  if (width >= columns) end();
  if (cursor >= offset) at = { row: rows.length, column: width };
  end();
  return { rows, ...at };
}

/** Control characters as `^A`: written as they are, they would move the cursor. */
function visible(grapheme: string): string {
  const code = grapheme.charCodeAt(0);
  return code < 32 ? `^${String.fromCharCode(code + 64)}` : code === 127 ? "^?" : grapheme;
}
