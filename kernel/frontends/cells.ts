/** A cell as every front end runs it: magics, type check, the session, and what the check found. */
import type { Completeness, Diagnostic, Language } from "../bridge/language.ts";
import type { CellId, CellRequest, ErrorReport, Outcome } from "../bridge/messages.ts";
import type { SessionClient } from "../bridge/session-client.ts";
import { openLanguage } from "../language/open.ts";
import { type MagicState, splitMagics, splitQuestion } from "./magics.ts";

/** How long a finished cell waits for its type check (some 10 ms once the language server runs). What comes later is shown later. */
const CHECK_WAIT_MS = 1500;

export interface CellView {
  /** The session took the cell: its outputs come under this id. */
  started(cell: CellId): void;
  /** Text of the front end itself: what magics say, type warnings. */
  say(name: "stdout" | "stderr", text: string): void | Promise<void>;
  /** The cell was refused before it ran. Errors of running cells come as outputs of the session. */
  refused(error: ErrorReport): void | Promise<void>;
}

export class Cells {
  readonly state: MagicState = { types: "warn" };
  readonly #client: SessionClient;
  #language: Promise<Language> | null = null;
  /** Ends the wait of a cell that runs only once its check is done. */
  #stopCheck: (() => void) | null = null;

  constructor(client: SessionClient) {
    this.#client = client;
  }

  /** Loaded at first need. */
  language(): Promise<Language> {
    this.#language ??= openLanguage({ folder: this.#client.folder, live: this.#client.live });
    return this.#language;
  }

  /** A cell's TypeScript as the language room wants it: magic lines blanked, positions as they were. */
  code(text: string): string {
    return splitMagics(text)?.code ?? text;
  }

  async isComplete(text: string): Promise<Completeness> {
    return splitQuestion(text) ? { status: "complete" } : (await this.language()).isComplete(this.code(text));
  }

  async run(request: CellRequest, view: CellView): Promise<Outcome> {
    const question = splitQuestion(request.code);
    if (question) return this.#answer(question, view);
    const magics = splitMagics(request.code);
    if (magics) {
      const done = magics.run(this.state);
      if ("error" in done) return this.#refuse(done.error, view);
      if (!request.silent) await view.say("stdout", done.text);
      if (magics.code === "" && !request.userExpressions) return { status: "ok", expressions: {} };
      request = { ...request, code: magics.code };
    }
    const cell = { count: request.count, code: request.code };
    const wanted = this.state.types !== "off" && !request.silent && mentionsNames(request.code);
    const check = wanted ? this.language().then((language) => language.check(cell)) : null;
    check?.catch(() => {});
    if (check && this.state.types === "strict") {
      const stopped = new Promise<null>((resolve) => {
        this.#stopCheck = () => resolve(null);
      });
      const found = await Promise.race([settled(check).then((found) => found ?? []), stopped]);
      this.#stopCheck = null;
      if (!found) return this.#refuse(NOT_BEGUN, view);
      if (found.some((d) => d.severity === "error")) return this.#refuse(await this.#strict(cell, found), view);
    }
    const outcome = await this.#client.execute(request, (id) => view.started(id));
    // A cell that does not parse defines nothing, and its error says all there is to say.
    const parsed = outcome.status === "ok" || outcome.error.name !== "SyntaxError";
    if (check && parsed && this.state.types === "warn") await this.#warn(cell, check, view);
    if (parsed && !request.silent && mentionsNames(request.code)) (await this.language()).accept(cell);
    return outcome;
  }

  /** Stops the cell that runs, or waits for its check. */
  interrupt(): void {
    this.#stopCheck?.();
    this.#client.interrupt();
  }

  /** Starts the language server while the user still thinks, so that the first cell does not wait for it. */
  async warm(): Promise<void> {
    if (this.state.types !== "off") await (await this.language()).inspect("0", 0, 0);
  }

  async close(): Promise<void> {
    await (await this.#language)?.close();
  }

  async #answer({ expression, detail }: { expression: string; detail: 0 | 1 }, view: CellView): Promise<Outcome> {
    const page = await (await this.language()).inspect(expression, expression.length, detail);
    if (page) return { status: "ok", expressions: {}, page };
    const name = "UnknownNameError";
    const message = `Nothing is known of ${expression}. It is not declared by a cell that has run, nor by TypeScript's libraries.`;
    return this.#refuse({ name, message, traceback: [`\u001b[31m${name}\u001b[0m: ${message}`] }, view);
  }

  async #refuse(error: ErrorReport, view: CellView): Promise<Outcome> {
    await view.refused(error);
    return { status: "error", error };
  }

  async #warn(cell: { count: number; code: string }, check: Promise<Diagnostic[]>, view: CellView): Promise<void> {
    const say = async (found: Diagnostic[] | null): Promise<void> => {
      if (found?.length) await view.say("stderr", `${await rendered(cell, found)}\n`);
    };
    const found = await Promise.race([
      settled(check),
      new Promise<"late">((resolve) => setTimeout(resolve, CHECK_WAIT_MS, "late")),
    ]);
    if (found === "late") void settled(check).then(say);
    else await say(found);
  }

  async #strict(cell: { count: number; code: string }, found: Diagnostic[]): Promise<ErrorReport> {
    const name = "TypeScriptError";
    const message = `${found[0].message.split("\n")[0]}${found.length > 1 ? ` (and ${found.length - 1} more)` : ""}`;
    return {
      name,
      message,
      traceback: [
        `\u001b[31m${name}\u001b[0m: the cell was not run (%types strict)`,
        ...(await rendered(cell, found)).split("\n"),
      ],
    };
  }
}

const NOT_BEGUN: ErrorReport = {
  name: "KernelInterrupt",
  message: "The cell was interrupted before it began.",
  traceback: ["\u001b[31mKernelInterrupt\u001b[0m: The cell was interrupted before it began."],
};

const rendered = async (cell: { count: number; code: string }, found: Diagnostic[]): Promise<string> =>
  (await import("../language/language.ts")).renderDiagnostics(cell.code, found, {
    name: `cell ${cell.count}`,
    color: true,
  });

/** Numbers and operators alone have no types to get wrong: such a cell does not wait for a check. */
const mentionsNames = (code: string): boolean =>
  /[\p{ID_Start}$_]/u.test(code.replace(/\b\d[\d_.]*(e[+-]?\d+)?n?\b/gi, ""));

/** A check that fails (a language server that cannot start) is no fault of the cell. */
const settled = (check: Promise<Diagnostic[]>): Promise<Diagnostic[] | null> => check.catch(() => null);
