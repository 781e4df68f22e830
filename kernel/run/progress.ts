/** Which cell runs: a line that is rewritten on a terminal, one plain line a cell elsewhere. Always on stderr. */
import { isatty } from "node:tty";
import { writeAll } from "../frontends/terminal/fd.ts";
import { fit } from "../frontends/terminal/width.ts";

const WIDTH = 50;

export class Progress {
  readonly #terminal = isatty(2);
  readonly #total: number;
  #label = "";
  #detail = "";
  #began = 0;
  #shown = false;
  /** Was the last thing printed a whole line? Else the progress line would run into it. */
  #lineStart = true;
  #timer: NodeJS.Timeout | null = null;

  constructor(total: number) {
    this.#total = total;
  }

  begin(index: number, source: string): void {
    const first = source.split("\n").find((line) => line.trim()) ?? "";
    const text = first.length > WIDTH ? `${first.slice(0, WIDTH - 1)}…` : first;
    this.#label = `[${index}/${this.#total}] ${text}`;
    this.#detail = "";
    this.#began = performance.now();
    if (!this.#terminal) {
      writeAll(2, `${this.#label}\n`);
      return;
    }
    this.#draw();
    this.#timer = setInterval(() => this.#draw(), 1000);
  }

  /** What the cell itself says of its progress, behind its name. */
  say(detail: string): void {
    this.#detail = detail;
    if (this.#timer) this.#draw();
  }

  end(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
    this.#erase();
  }

  /** Output of the cell: the line makes room for it. */
  print(fd: 1 | 2, text: string): void {
    if (!text) return;
    this.#erase();
    writeAll(fd, text);
    if (isatty(fd)) this.#lineStart = text.endsWith("\n");
    if (this.#timer) this.#draw();
  }

  #draw(): void {
    if (!this.#lineStart) return;
    const seconds = Math.floor((performance.now() - this.#began) / 1000);
    const line = [this.#label, this.#detail, seconds ? `${seconds} s` : ""].filter(Boolean).join("  ");
    writeAll(2, `\r\x1b[K\x1b[2m${fit(line, 79)}\x1b[0m`);
    this.#shown = true;
  }

  #erase(): void {
    if (this.#shown) writeAll(2, "\r\x1b[K");
    this.#shown = false;
  }
}
