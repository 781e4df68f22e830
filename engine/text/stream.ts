/**
 * Text from tokens that arrive one by one: a piece is given out when its bytes are whole characters and it cannot be the beginning
 * of a stop string.
 */
export class TextStream {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  readonly #stops: readonly string[];
  #held = "";
  #stopped = false;

  constructor(stops: readonly string[] = []) {
    this.#stops = stops;
  }

  /** A stop string was seen; nothing more is given out. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** The text that is certain after these bytes. */
  push(bytes: Uint8Array): string {
    if (this.#stopped) return "";
    return this.#release(this.#held + this.#decoder.decode(bytes, { stream: true }), false);
  }

  /** What was held back, when nothing more comes. */
  end(): string {
    if (this.#stopped) return "";
    return this.#release(this.#held + this.#decoder.decode(), true);
  }

  #release(text: string, last: boolean): string {
    let cut = text.length;
    for (const stop of this.#stops) {
      const i = text.indexOf(stop);
      if (i >= 0 && i <= cut) {
        cut = i;
        this.#stopped = true;
      }
    }
    if (this.#stopped) {
      this.#held = "";
      return text.slice(0, cut);
    }
    const hold = last ? 0 : heldBack(text, this.#stops);
    this.#held = text.slice(text.length - hold);
    return text.slice(0, text.length - hold);
  }
}

/** The longest end of `text` that begins a stop string. */
function heldBack(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops)
    for (let n = Math.min(stop.length - 1, text.length); n > longest; n--)
      if (text.endsWith(stop.slice(0, n))) longest = n;
  return longest;
}
