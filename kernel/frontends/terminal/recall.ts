/** Walking back through what was typed, and searching it. What stands at the prompt is the newest entry and is not lost. */

export class Recall {
  /** Oldest first, no entry twice in a row. */
  readonly #entries: string[] = [];
  #at = 0;
  #draft = "";

  constructor(inputs: string[]) {
    for (const input of inputs) this.add(input);
  }

  add(input: string): void {
    if (input !== this.#entries.at(-1)) this.#entries.push(input);
    this.rest();
  }

  /** Back at the prompt. */
  rest(): void {
    this.#at = this.#entries.length;
    this.#draft = "";
  }

  /** The entry before, or null at the oldest. `text` is what stands there now. */
  previous(text: string): string | null {
    if (this.#at === 0) return null;
    if (this.#at === this.#entries.length) this.#draft = text;
    return this.#entries[--this.#at];
  }

  next(): string | null {
    if (this.#at === this.#entries.length) return null;
    return ++this.#at === this.#entries.length ? this.#draft : this.#entries[this.#at];
  }

  /** The `nth` newest entry that contains the words, each entry once. */
  search(words: string, nth: number): string | null {
    if (!words) return null;
    const wanted = words.toLowerCase();
    const found = new Set<string>();
    for (let i = this.#entries.length - 1; i >= 0 && found.size <= nth; i--) {
      if (this.#entries[i].toLowerCase().includes(wanted)) found.add(this.#entries[i]);
    }
    return [...found][nth] ?? null;
  }
}
