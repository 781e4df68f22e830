/** The text being typed, and what editing keys do to it. Offsets are UTF-16; moves go by what a reader takes for one character. */
import { graphemesOf } from "./width.ts";

export interface Key {
  /** "a", "left", "return", …; empty for plain text. */
  name: string;
  /** What it would insert. */
  text: string;
  ctrl: boolean;
  alt: boolean;
  shift: boolean;
}

interface State {
  text: string;
  cursor: number;
}

const UNDO_STEPS = 200;
const WORD = /[\p{ID_Continue}$]/u;

export class Editor {
  #text = "";
  #cursor = 0;
  #goal: number | null = null;
  #killed = "";
  #undo: State[] = [];
  #typing = false;

  get text(): string {
    return this.#text;
  }
  get cursor(): number {
    return this.#cursor;
  }

  set(text: string, cursor = text.length): void {
    if (text === this.#text && cursor === this.#cursor) return;
    this.#remember(false);
    this.#text = text;
    this.#cursor = cursor;
    this.#goal = null;
  }

  /** A new, empty text without a past. */
  reset(): void {
    this.#text = "";
    this.#cursor = 0;
    this.#goal = null;
    this.#undo = [];
    this.#typing = false;
  }

  insert(text: string): void {
    this.replace(this.#cursor, this.#cursor, text);
  }

  replace(start: number, end: number, text: string): void {
    this.#remember(text.length === 1 && start === end);
    this.#text = this.#text.slice(0, start) + text + this.#text.slice(end);
    this.#cursor = start + text.length;
    this.#goal = null;
  }

  /** True when the key was an editing key. */
  press(key: Key): boolean {
    const action = ACTIONS[`${key.ctrl ? "C-" : ""}${key.alt ? "M-" : ""}${key.name}`];
    if (action) {
      const vertical = action === "up" || action === "down";
      if (!vertical) this.#goal = null;
      return this[action]() !== false;
    }
    if (key.ctrl || key.alt || key.text < " " || key.text === "\x7f") return false;
    this.insert(key.text);
    return true;
  }

  left(): void {
    this.#cursor -= this.#before();
  }
  right(): void {
    this.#cursor += this.#after();
  }
  wordLeft(): void {
    this.#cursor = this.#wordStart();
  }
  wordRight(): void {
    this.#cursor = this.#wordEnd();
  }
  home(): void {
    const start = this.#lineStart();
    const text = start + /^[ \t]*/.exec(this.#text.slice(start))![0].length;
    this.#cursor = this.#cursor === text ? start : text;
  }
  end(): void {
    this.#cursor = this.#lineEnd();
  }
  first(): void {
    this.#cursor = 0;
  }
  last(): void {
    this.#cursor = this.#text.length;
  }

  /** False on the first line. */
  up(): boolean {
    const start = this.#lineStart();
    if (start === 0) return false;
    this.#vertical(this.#lineStart(start - 1), start - 1);
    return true;
  }
  /** False on the last line. */
  down(): boolean {
    const end = this.#lineEnd();
    if (end === this.#text.length) return false;
    this.#vertical(end + 1, this.#lineEnd(end + 1));
    return true;
  }

  back(): void {
    const line = this.#text.slice(this.#lineStart(), this.#cursor);
    // Indentation is made in steps of two, so it goes in steps of two.
    const step = /^( {2})+$/.test(line) ? 2 : this.#before();
    if (step) this.replace(this.#cursor - step, this.#cursor, "");
  }
  forward(): void {
    const end = this.#cursor + this.#after();
    const at = this.#cursor;
    if (end > at) this.replace(at, end, "");
  }
  killEnd(): void {
    const end = this.#lineEnd();
    this.#kill(this.#cursor, end === this.#cursor ? Math.min(end + 1, this.#text.length) : end);
  }
  killStart(): void {
    this.#kill(this.#lineStart(), this.#cursor);
  }
  killWord(): void {
    this.#kill(this.#wordStart(), this.#cursor);
  }
  killWordRight(): void {
    this.#kill(this.#cursor, this.#wordEnd());
  }
  yank(): void {
    if (this.#killed) this.insert(this.#killed);
  }
  undo(): void {
    const state = this.#undo.pop();
    if (!state) return;
    this.#text = state.text;
    this.#cursor = state.cursor;
    this.#typing = false;
  }

  #kill(start: number, end: number): void {
    if (start === end) return;
    this.#killed = this.#text.slice(start, end);
    this.replace(start, end, "");
  }

  /** Letters typed in a row are one step. */
  #remember(typing: boolean): void {
    if (!(typing && this.#typing)) {
      this.#undo.push({ text: this.#text, cursor: this.#cursor });
      if (this.#undo.length > UNDO_STEPS) this.#undo.shift();
    }
    this.#typing = typing;
  }

  #vertical(start: number, end: number): void {
    this.#goal ??= this.#cursor - this.#lineStart();
    this.#cursor = Math.min(start + this.#goal, end);
  }

  #before(): number {
    const line = this.#text.slice(Math.max(0, this.#cursor - 64), this.#cursor);
    return [...graphemesOf(line)].at(-1)?.length ?? 0;
  }
  #after(): number {
    const { value } = graphemesOf(this.#text.slice(this.#cursor, this.#cursor + 64)).next();
    return value?.length ?? 0;
  }
  #wordStart(): number {
    let at = this.#cursor;
    while (at > 0 && !WORD.test(this.#text[at - 1])) at--;
    while (at > 0 && WORD.test(this.#text[at - 1])) at--;
    return at;
  }
  #wordEnd(): number {
    let at = this.#cursor;
    while (at < this.#text.length && !WORD.test(this.#text[at])) at++;
    while (at < this.#text.length && WORD.test(this.#text[at])) at++;
    return at;
  }
  #lineStart(at = this.#cursor): number {
    return this.#text.lastIndexOf("\n", at - 1) + 1;
  }
  #lineEnd(at = this.#cursor): number {
    const end = this.#text.indexOf("\n", at);
    return end < 0 ? this.#text.length : end;
  }
}

type Action =
  | "left"
  | "right"
  | "wordLeft"
  | "wordRight"
  | "home"
  | "end"
  | "first"
  | "last"
  | "up"
  | "down"
  | "back"
  | "forward"
  | "killEnd"
  | "killStart"
  | "killWord"
  | "killWordRight"
  | "yank"
  | "undo";

const ACTIONS: Record<string, Action> = {
  left: "left", right: "right", up: "up", down: "down", home: "home", end: "end", backspace: "back", delete: "forward",
  "C-b": "left", "C-f": "right", "C-p": "up", "C-n": "down", "C-a": "home", "C-e": "end", "C-h": "back", "C-d": "forward",
  "C-left": "wordLeft", "C-right": "wordRight", "M-left": "wordLeft", "M-right": "wordRight", "M-b": "wordLeft", "M-f": "wordRight",
  "C-home": "first", "C-end": "last", "M-<": "first", "M->": "last",
  "C-k": "killEnd", "C-u": "killStart", "C-w": "killWord", "M-backspace": "killWord", "C-backspace": "killWord", "M-d": "killWordRight", "C-y": "yank",
  "C-_": "undo", "C-z": "undo", "M-u": "undo",
}; // biome-ignore format: a table
