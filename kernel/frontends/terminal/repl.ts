/**
 * The loop: keys to the editor, whole texts to the session, outputs above the prompt. Everything stays responsive while a cell runs; what is entered meanwhile waits its turn.
 */
import { stripVTControlCharacters } from "node:util";
import type { Output } from "../../bridge/messages.ts";
import { connectSession } from "../../bridge/session-client.ts";
import { completeness } from "../../language/completeness.ts";
import { Cells } from "../cells.ts";
import { History } from "../history.ts";
import { splitQuestion } from "../magics.ts";
import { Assist } from "./assist.ts";
import { banner } from "./banner.ts";
import { Editor, type Key } from "./editor.ts";
import { writeAll } from "./fd.ts";
import { isCtrlC, Keyboard } from "./keyboard.ts";
import { layout, type Piece } from "./layout.ts";
import { LiveDisplays } from "./live-displays.ts";
import { painted } from "./paint.ts";
import { Recall } from "./recall.ts";
import { Screen } from "./screen.ts";

const HISTORY = 2000;
const RESIZE_POLL_MS = 250;
/** The terminal marks pasted text, so that its line ends do not run it. */
const PASTE_ON = "\x1b[?2004h";
const PASTE_OFF = "\x1b[?2004l";

export class Repl {
  readonly #screen = new Screen();
  readonly #editor = new Editor();
  readonly #color = !process.env["NO_COLOR"];
  readonly #client = connectSession({
    stream: (_, __, text) => this.#screen.print(text),
    output: (_, output) => this.#output(output),
    comm() {},
    input: (_, prompt, password) => this.#ask(prompt, password),
  });
  readonly #cells = new Cells(this.#client);
  readonly #assist = new Assist(this.#editor, this.#cells, () => this.#draw());
  readonly #history = new History();
  readonly #recall = new Recall(this.#history.tail(HISTORY).map(({ input }) => input));
  readonly #live = new LiveDisplays();
  #keyboard: Keyboard | null = null;
  #count = 0;
  #running = false;
  #queue: string[] = [];
  /** Ctrl-R: the words looked for, and how many matches back. */
  #search: { words: string; nth: number } | null = null;
  /** The running cell asks for input. */
  #question: { prompt: string; password: boolean; draft: string } | null = null;
  #paste: string | null = null;
  #exitAsked = false;
  #drawing = false;
  #ending = false;

  async start(begin: string | null): Promise<void> {
    this.#screen.print(banner(this.#color));
    this.#keyboard = Keyboard.open((key) => this.#press(key));
    this.#keyboard?.onEnd(() => void this.#exit());
    writeAll(1, PASTE_ON);
    setInterval(() => this.#screen.resized() && this.#draw(), RESIZE_POLL_MS).unref();
    this.#draw();
    await this.#client.ready;
    void this.#cells.language();
    if (begin) this.#enter(begin);
  }

  // Keys

  #press(key: Key): void {
    if (key.name === "paste-start") this.#paste = "";
    else if (key.name === "paste-end") {
      this.#editor.insert((this.#paste ?? "").replace(/\r\n?/g, "\n"));
      this.#paste = null;
    } else if (this.#paste !== null) {
      this.#paste += key.text;
      return;
    } else if (this.#question) this.#pressInAnswer(key);
    else if (this.#search) this.#pressInSearch(key);
    else if (!this.#assist.open || !this.#assist.press(key)) this.#pressInText(key);
    this.#draw();
  }

  readonly #commands: Record<string, () => unknown> = {
    "C-c": () => this.#interrupt(),
    "C-l": () => this.#screen.clear(),
    "C-r": () => {
      this.#search = { words: "", nth: 0 };
    },
    "M-h": () => this.#assist.explain(),
    f1: () => this.#assist.explain(),
    tab: () => this.#assist.complete(),
    "M-return": () => this.#editor.insert("\n"),
    "M-enter": () => this.#editor.insert("\n"),
    // Ctrl-J arrives as this.
    enter: () => this.#editor.insert("\n"),
    return: () => this.#return(),
  };
  /** These edit when there is a text. */
  readonly #commandsWhenEmpty: Record<string, () => unknown> = {
    "C-d": () => this.#exit(),
    "C-z": () => this.#suspend(),
  };

  #pressInText(key: Key): void {
    const editor = this.#editor;
    const name = `${key.ctrl ? "C-" : ""}${key.alt ? "M-" : ""}${key.name}`;
    this.#assist.clear();
    if (!isCtrlC(key)) this.#exitAsked = false;
    const command = this.#commands[name] ?? (editor.text === "" ? this.#commandsWhenEmpty[name] : undefined);
    if (command) command();
    else if (!editor.press(key)) {
      const recalled =
        key.name === "up" || name === "C-p"
          ? this.#recall.previous(editor.text)
          : key.name === "down" || name === "C-n"
            ? this.#recall.next()
            : null;
      if (recalled !== null) editor.set(recalled);
    }
  }

  #return(): void {
    const { text, cursor } = this.#editor;
    const state = splitQuestion(text) ? { status: "complete" as const } : completeness(this.#cells.code(text));
    if (state.status === "incomplete") this.#editor.insert(`\n${text.slice(cursor).trim() === "" ? state.indent : ""}`);
    else if (text.trim() !== "") this.#enter(text.trimEnd());
  }

  #interrupt(): void {
    if (this.#running) {
      this.#queue = [];
      this.#cells.interrupt();
    } else if (this.#editor.text !== "") {
      this.#keepText();
      this.#recall.rest();
    } else if (this.#exitAsked) void this.#exit();
    else {
      this.#exitAsked = true;
      this.#assist.hint("Ctrl-C again or Ctrl-D ends");
    }
  }

  #suspend(): void {
    this.#screen.end();
    writeAll(1, PASTE_OFF);
    this.#keyboard?.suspend();
    writeAll(1, PASTE_ON);
  }

  #pressInAnswer(key: Key): void {
    const answer = (value: string | null): void => {
      const { prompt, password, draft } = this.#question!;
      this.#screen.show(null);
      this.#screen.print(`${prompt}${password ? "" : (value ?? "")}\n`);
      this.#question = null;
      this.#editor.reset();
      this.#editor.set(draft);
      this.#client.answer(value);
    };
    if (key.name === "return" || key.name === "enter") answer(this.#editor.text);
    else if (isCtrlC(key)) {
      answer(null);
      this.#client.interrupt();
    } else if (key.ctrl && key.name === "d" && this.#editor.text === "") answer(null);
    else this.#editor.press(key);
  }

  #pressInSearch(key: Key): void {
    const search = this.#search!;
    if (key.ctrl && key.name === "r") {
      if (this.#recall.search(search.words, search.nth + 1) !== null) search.nth++;
    } else if (key.name === "backspace") this.#search = { words: search.words.slice(0, -1), nth: 0 };
    else if (key.text >= " " && !key.ctrl && !key.alt && key.name !== "escape")
      this.#search = { words: search.words + key.text, nth: 0 };
    else {
      const found = this.#recall.search(search.words, search.nth);
      this.#search = null;
      const cancelled = isCtrlC(key) || (key.ctrl && key.name === "g") || key.name === "escape";
      if (!cancelled && found !== null) this.#editor.set(found);
    }
  }

  // Running

  /** The text leaves the prompt: it runs, or waits until what runs has ended. */
  #enter(text: string): void {
    this.#editor.set(text);
    if (this.#running) this.#editor.reset();
    else this.#keepText();
    this.#recall.add(text);
    this.#assist.clear();
    this.#queue.push(text);
    if (!this.#running) void this.#runQueue();
  }

  async #runQueue(): Promise<void> {
    this.#running = true;
    for (let code = this.#queue.shift(); code !== undefined && !this.#ending; code = this.#queue.shift()) {
      const count = ++this.#count;
      this.#history.add(count, code);
      const outcome = await this.#cells.run(
        { code, count, allowInput: true },
        {
          started() {},
          say: (_, text) => this.#screen.print(this.#plain(text)),
          refused: ({ traceback }) => this.#screen.print(`${this.#plain(traceback.join("\n"))}\n`),
        },
      );
      this.#question = null;
      for (const text of this.#live.end(true)) this.#screen.print(`${this.#plain(text)}\n`);
      if (outcome.status === "ok" && outcome.page) this.#screen.print(`${outcome.page["text/plain"]}\n`);
      if (this.#queue.length) this.#echo(this.#queue[0], count + 1);
    }
    this.#running = false;
    this.#draw();
  }

  /** A text that waited is shown where its outputs will follow. */
  #echo(text: string, count: number): void {
    const { rows } = layout(painted(text, this.#color), this.#screen.columns, -1, (line) =>
      this.#before(line, count, false),
    );
    this.#screen.print(`${rows.join("\n")}\n`);
  }

  #output(output: Output): void {
    if (output.type === "clear") return;
    const text =
      output.type === "error"
        ? output.error.traceback.join("\n")
        : output.type === "display"
          ? this.#live.take(output)
          : output.data["text/plain"];
    if (typeof text === "string") this.#screen.print(`${this.#plain(text)}\n`);
    else this.#draw();
  }

  #plain(text: string): string {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control sequences
    return this.#color ? text : text.replace(/\x1b\[[0-9;]*m/g, "");
  }

  #ask(prompt: string, password: boolean): void {
    // What was being typed comes back afterwards.
    this.#question = { prompt, password, draft: this.#question?.draft ?? this.#editor.text };
    this.#assist.clear();
    this.#search = null;
    this.#editor.reset();
    this.#draw();
  }

  async #exit(): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    this.#screen.end();
    writeAll(1, PASTE_OFF);
    this.#keyboard?.close();
    await this.#cells.close();
    await this.#client.shutdown();
    this.#client.exit();
  }

  // Drawing

  /** Keys come in bursts; one drawing shows them all. */
  #draw(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    setImmediate(() => {
      this.#drawing = false;
      if (!this.#ending) this.#show();
    });
  }

  #show(): void {
    const { text, cursor } = this.#editor;
    if (this.#question) {
      const { prompt, password } = this.#question;
      const pieces = [{ text: password ? "*".repeat(text.length) : text, style: "" }];
      this.#screen.show({ pieces, cursor, before: (line) => ({ text: line ? "" : prompt, style: "" }), below: [] });
    } else if (this.#search) {
      const { words, nth } = this.#search;
      const label: Piece = { text: `(search: ${words}) `, style: this.#color ? "36" : "" };
      const pieces = painted(this.#recall.search(words, nth) ?? "", this.#color);
      this.#screen.show({ pieces, cursor: 0, before: (line) => (line ? { text: "  ", style: "" } : label), below: [] });
    } else {
      const before = (line: number): Piece => this.#before(line, this.#count + 1, this.#running);
      this.#screen.show({
        pieces: painted(text, this.#color),
        cursor,
        before,
        above: this.#live.states.flatMap((text) => stripVTControlCharacters(text).split("\n")),
        below: this.#assist.rows(this.#screen.columns, this.#color),
      });
    }
  }

  /** What stands at the prompt scrolls away, and the prompt is empty. */
  #keepText(): void {
    const before = (line: number): Piece => this.#before(line, this.#count + 1, false);
    this.#screen.show({ pieces: painted(this.#editor.text, this.#color), cursor: 0, before, below: [] });
    this.#screen.keep();
    this.#editor.reset();
  }

  #before(line: number, count: number, busy: boolean): Piece {
    const label = `[${count}]`;
    if (line > 0) return { text: " ".repeat(label.length + 2), style: "" };
    // While something runs, the number is not known yet.
    return {
      text: busy ? `${"…".padStart(label.length)}> ` : `${label}> `,
      style: this.#color ? (busy ? "2" : "36") : "",
    };
  }
}
