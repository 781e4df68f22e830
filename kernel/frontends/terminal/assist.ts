/** What stands under the prompt: the completion menu, an explanation, a hint; and the keys while a menu is open. */
import type { Language } from "../../bridge/language.ts";
import type { Editor, Key } from "./editor.ts";
import { commonPrefix, Menu } from "./menu.ts";

const HELP_ROWS = 12;

/** What is needed of cells.ts. */
export interface LanguageOfCells {
  language(): Promise<Language>;
  /** The text with its magics blanked. */
  code(text: string): string;
}

export class Assist {
  readonly #editor: Editor;
  readonly #cells: LanguageOfCells;
  readonly #changed: () => void;
  #menu: Menu | null = null;
  #help: string[] = [];

  /** @param changed an answer came: draw. */
  constructor(editor: Editor, cells: LanguageOfCells, changed: () => void) {
    this.#editor = editor;
    this.#cells = cells;
    this.#changed = changed;
  }

  get open(): boolean {
    return this.#menu !== null;
  }

  hint(text: string): void {
    this.#help = [text];
  }

  clear(): void {
    this.#menu = null;
    this.#help = [];
  }

  rows(columns: number, color: boolean): string[] {
    return this.#menu?.render(columns, color) ?? this.#help.map((line) => (color ? `\x1b[2m${line}\x1b[0m` : line));
  }

  async complete(): Promise<void> {
    const { text, cursor } = this.#editor;
    if (/(^|\n)[ \t]*$/.test(text.slice(0, cursor))) {
      this.#editor.insert("  ");
      return;
    }
    const { items, start, end } = await (await this.#cells.language()).complete(this.#cells.code(text), cursor);
    // Typed on meanwhile: the answer is to another question.
    if (this.#editor.text !== text || this.#editor.cursor !== cursor) return;
    const prefix = commonPrefix(items.map((item) => item.text));
    const only = items.length === 1;
    let typed = end;
    if (only || prefix.length > end - start) {
      this.#editor.replace(start, end, only ? items[0].text : prefix);
      typed = this.#editor.cursor;
    }
    if (items.length > 1) this.#menu = new Menu({ items, start, end: typed });
    else if (!items.length) this.hint("no completions");
    this.#changed();
  }

  async explain(): Promise<void> {
    const { text, cursor } = this.#editor;
    const bundle = await (await this.#cells.language()).inspect(this.#cells.code(text), cursor, 1);
    if (this.#editor.text !== text) return;
    const lines = String(bundle?.["text/plain"] ?? "nothing is known here").split("\n");
    this.#help = lines.slice(0, HELP_ROWS);
    if (lines.length > HELP_ROWS) this.#help.push(`… ${lines.length - HELP_ROWS} more lines`);
    this.#changed();
  }

  /** False when the key closes the menu and means what it otherwise means. */
  press(key: Key): boolean {
    const menu = this.#menu!;
    const step = { tab: key.shift ? -1 : 1, down: 1, up: -1 }[key.name];
    if (step) menu.move(step);
    else if (key.name === "pagedown" || key.name === "pageup") menu.page(key.name === "pagedown" ? 1 : -1);
    else return this.#leave(menu, key);
    return true;
  }

  #leave(menu: Menu, key: Key): boolean {
    this.#menu = null;
    const take = (): void => this.#editor.replace(menu.completions.start, menu.completions.end, menu.chosen!);
    if (key.name === "escape" || (key.ctrl && key.name === "c")) return true;
    const accepts = key.name === "return" || key.name === "enter" || key.name === "right";
    if (menu.chosen !== null && (accepts || (!key.ctrl && !key.alt && key.text >= " "))) {
      take();
      return accepts;
    }
    if (!key.ctrl && !key.alt && /^[\p{ID_Continue}$]$/u.test(key.text)) {
      // Typing on narrows the list.
      this.#editor.insert(key.text);
      void this.complete();
      return true;
    }
    return false;
  }
}
