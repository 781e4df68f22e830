/**
 * The bottom of the terminal, which is drawn again and again (the live area), under text that is printed once and scrolls away.
 * Output that does not end its line stays part of the live area, so that what comes next continues it.
 */

import { WriteStream } from "node:tty";
import { stripVTControlCharacters } from "node:util";
import { writeAll } from "./fd.ts";
import { layout, type Piece } from "./layout.ts";
import { fit, textWidth } from "./width.ts";

export interface View {
  pieces: Piece[];
  cursor: number;
  /** What line n begins with. */
  before: (line: number) => Piece;
  /** Rows over and under the text; cut when the terminal is too low. */
  above?: string[];
  below: string[];
}

export class Screen {
  readonly #terminal = new WriteStream(1);
  /** Rows of the live area above the cursor. */
  #above = 0;
  /** An unfinished line of output. */
  #partial = "";
  #view: View | null = null;
  #write: (text: string) => boolean;

  constructor(write = (text: string) => writeAll(1, text)) {
    this.#write = write;
  }

  get columns(): number {
    return Math.max(10, this.#terminal.columns || 80);
  }
  get rows(): number {
    return Math.max(3, this.#terminal.rows || 24);
  }

  /** True when the size changed since the last call. A worker is not told. */
  resized(): boolean {
    const before = [this.columns, this.rows].join();
    (this.#terminal as unknown as { _refreshSize?(): void })._refreshSize?.();
    return before !== [this.columns, this.rows].join();
  }

  /** Output: goes above the prompt. */
  print(text: string): void {
    const whole = this.#partial + text;
    const cut = whole.lastIndexOf("\n") + 1;
    // A progress line that starts itself again leaves only its last state.
    let partial = whole.slice(cut).replace(/^[\s\S]*\r(?=[^\r])/, "");
    let done = whole.slice(0, cut);
    if (textWidth(stripVTControlCharacters(partial)) > this.columns * 4) {
      done += `${partial}\n`;
      partial = "";
    }
    this.#erase();
    this.#partial = partial;
    this.#write(done.replace(/\r?\n/g, "\r\n"));
    this.#paint();
  }

  /** The prompt and what is under it; null for none. */
  show(view: View | null): void {
    this.#erase();
    this.#view = view;
    this.#paint();
  }

  /** The view becomes part of what scrolls away. */
  keep(): void {
    const view = this.#view;
    if (!view) return;
    this.#erase();
    const { rows } = layout(view.pieces, this.columns, -1, view.before);
    this.#write(`${this.#endPartial()}${rows.join("\r\n")}\r\n`);
    this.#view = null;
  }

  clear(): void {
    this.#above = 0;
    this.#write("\x1b[H\x1b[2J\x1b[3J");
    this.#paint();
  }

  /** Leaves the cursor on a fresh line below everything. */
  end(): void {
    this.#view = null;
    this.#erase();
    this.#write(this.#endPartial());
  }

  #endPartial(): string {
    const text = this.#partial ? `${this.#partial}\r\n` : "";
    this.#partial = "";
    return text;
  }

  #erase(): void {
    if (this.#above > 0) this.#write(`\x1b[${this.#above}A`);
    this.#write("\r\x1b[J");
    this.#above = 0;
  }

  #paint(): void {
    const columns = this.columns;
    const partialRows = this.#partial
      ? Math.max(1, Math.ceil(textWidth(stripVTControlCharacters(this.#partial)) / columns))
      : 0;
    if (!this.#view) {
      this.#write(this.#partial);
      this.#above = Math.max(0, partialRows - 1);
      return;
    }
    const { pieces, cursor, before, above = [], below } = this.#view;
    const all = layout(pieces, columns, cursor, before);
    // A text longer than the terminal shows the part around the cursor.
    const room = Math.max(1, this.rows - 1 - partialRows);
    const first = Math.max(0, Math.min(all.row - Math.floor(room / 2), all.rows.length - room));
    const rows = all.rows.slice(first, first + room);
    const row = all.row - first;
    const under = below.slice(0, room - rows.length);
    const left = room - rows.length - under.length;
    const over = left > 0 ? above.slice(-left).map((line) => fit(line, columns)) : [];
    const lines = [...over, ...rows, ...under];
    const up = rows.length + under.length - 1 - row;
    this.#write(
      `${this.#partial}${this.#partial ? "\r\n" : ""}${lines.join("\r\n")}${up > 0 ? `\x1b[${up}A` : ""}\r${all.column > 0 ? `\x1b[${all.column}C` : ""}`,
    );
    this.#above = partialRows + over.length + row;
  }
}
