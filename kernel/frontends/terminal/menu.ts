/** The completion menu below the prompt: a window on the list, the chosen item marked. */
import type { Completions } from "../../bridge/language.ts";
import { fit, textWidth } from "./width.ts";

const ROWS = 8;

export class Menu {
  readonly completions: Completions;
  #chosen = -1;
  #top = 0;

  constructor(completions: Completions) {
    this.completions = completions;
  }

  get chosen(): string | null {
    return this.completions.items[this.#chosen]?.text ?? null;
  }

  move(by: number): void {
    const { length } = this.completions.items;
    this.#chosen = this.#chosen < 0 && by < 0 ? length - 1 : (this.#chosen + by + length) % length;
    if (this.#chosen < this.#top) this.#top = this.#chosen;
    if (this.#chosen >= this.#top + ROWS) this.#top = this.#chosen - ROWS + 1;
  }

  page(by: 1 | -1): void {
    const last = this.completions.items.length - 1;
    this.#chosen = Math.max(0, Math.min(last, Math.max(0, this.#chosen) + by * ROWS));
    this.#top = Math.max(0, Math.min(this.#chosen, last - ROWS + 1));
  }

  render(columns: number, color: boolean): string[] {
    const { items } = this.completions;
    const shown = items.slice(this.#top, this.#top + ROWS);
    const width = Math.min(Math.max(...shown.map(({ text }) => textWidth(text))), Math.floor(columns / 2));
    const rows = shown.map(({ text, type, signature }, i) => {
      const label = fit(text, width);
      const line = `${label}${" ".repeat(width - textWidth(label))}  ${fit(`${type}${signature ? ` ${signature}` : ""}`, Math.max(1, columns - width - 5))}`;
      const mark = this.#top + i === this.#chosen;
      return mark
        ? color
          ? `\x1b[7m ${line} \x1b[0m`
          : `> ${line}`
        : color
          ? ` ${line.slice(0, width)}\x1b[2m${line.slice(width)}\x1b[0m`
          : `  ${line}`;
    });
    const rest = items.length - shown.length;
    if (rest > 0)
      rows.push(color ? `\x1b[2m ${this.#chosen + 1}/${items.length}\x1b[0m` : `  ${this.#chosen + 1}/${items.length}`);
    return rows;
  }
}

/** What all items begin with, as far as it goes beyond what is typed; compared without case, written as the first item has it. */
export function commonPrefix(texts: string[]): string {
  let prefix = texts[0] ?? "";
  for (const text of texts) {
    let length = 0;
    while (length < prefix.length && prefix[length] === text[length]) length++;
    prefix = prefix.slice(0, length);
  }
  return prefix;
}
