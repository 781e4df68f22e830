/** A small terminal: what a program wrote as a person would see it. Knows what our programs use; anything else fails the test. */
export class Terminal {
  readonly columns: number;
  readonly rows: number;
  #lines: string[][] = [[]];
  /** First row of the screen among all lines. */
  #top = 0;
  #row = 0;
  #column = 0;

  constructor(columns = 80, rows = 24) {
    this.columns = columns;
    this.rows = rows;
  }

  /** All lines, what scrolled away included; trailing blanks and empty lines cut. */
  get text(): string {
    return this.#lines
      .map((line) =>
        Array.from(line, (c) => c ?? " ")
          .join("")
          .trimEnd(),
      )
      .join("\n")
      .trimEnd();
  }

  get cursor(): { row: number; column: number } {
    return { row: this.#top + this.#row, column: this.#column };
  }

  #rest = "";

  write(text: string): void {
    // A sequence may come in two pieces.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control sequences are the matter here
    const [, data, rest] = /^([\s\S]*?)(\x1b(?:\[[?\d;]*)?)?$/.exec(this.#rest + text)!;
    this.#rest = rest ?? "";
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control sequences are the matter here
    for (const [token, parameters, final] of data.matchAll(/\x1b\[([?\d;]*)([A-Za-z])|\x1b.|[\s\S]/gu)) {
      if (final) this.#control(parameters, final);
      else if (token === "\n") this.#down();
      else if (token === "\r") this.#column = 0;
      else if (token === "\x07") continue;
      else if (token < " ") throw new Error(`the terminal does not know ${JSON.stringify(token)}`);
      else this.#put(token);
    }
  }

  #put(char: string): void {
    if (this.#column >= this.columns) {
      this.#column = 0;
      this.#down();
    }
    this.#line()[this.#column++] = char;
    if (/\p{Emoji_Presentation}|[\u3040-\u9fff]/u.test(char)) this.#line()[this.#column++] = "";
  }

  #line(): string[] {
    const at = this.#top + this.#row;
    while (this.#lines.length <= at) this.#lines.push([]);
    return this.#lines[at];
  }

  #down(): void {
    if (this.#row < this.rows - 1) this.#row++;
    else this.#top++;
    this.#line();
  }

  #control(parameters: string, final: string): void {
    const n = Math.max(1, Number(parameters) || 1);
    if (final === "A") this.#row = Math.max(0, this.#row - n);
    else if (final === "C") this.#column = Math.min(this.columns - 1, this.#column + n);
    else if (final === "H") [this.#row, this.#column] = [0, 0];
    else if (final === "J" && parameters === "") {
      this.#line().length = Math.min(this.#line().length, this.#column);
      this.#lines.length = this.#top + this.#row + 1;
    } else if (final === "J") {
      this.#lines.length = parameters === "3" ? 0 : this.#top;
      if (parameters === "3") this.#top = 0;
      this.#line();
    } else if (final === "K") this.#line().length = Math.min(this.#line().length, this.#column);
    else if (final !== "m" && !parameters.startsWith("?"))
      throw new Error(`the terminal does not know CSI ${parameters}${final}`);
  }
}
