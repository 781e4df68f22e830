/** `moescope run FILE` on the main thread: checks what was asked before anything runs, then hosts the session. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, extname, resolve } from "node:path";
import { hostSession } from "../bridge/session-host.ts";
import { CliError } from "../cli-error.ts";
import { type Notebook, notebookOf, readNotebook } from "./notebook.ts";

/** What the front end in the worker is told. */
export interface RunSettings {
  name: string;
  notebook: Notebook;
  /** Absolute; null: the executed notebook is not kept. */
  out: string | null;
  html: string | null;
  allowErrors: boolean;
  /** Seconds a cell may take; 0: any. */
  timeout: number;
}

interface Options {
  out?: string | boolean;
  html?: string | boolean;
  timeout?: string | boolean;
  allowErrors: boolean;
}

export async function run(file: string, options: Options): Promise<undefined> {
  const path = resolve(file);
  const kind = extname(path).toLowerCase();
  if (kind !== ".ipynb" && kind !== ".ts" && kind !== ".mts")
    throw new CliError(`run takes a notebook (.ipynb) or a script (.ts), not ${basename(file)}`);
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) throw new CliError(`there is no file ${path}`);
  const text = readFileSync(path, "utf8");
  const isNotebook = kind === ".ipynb";
  const settings: RunSettings = {
    name: basename(path),
    notebook: isNotebook ? readNotebook(text, basename(path)) : notebookOf(text),
    out: target(options.out) ?? (isNotebook ? path : null),
    html: target(options.html),
    allowErrors: options.allowErrors,
    timeout: seconds(options.timeout),
  };
  // As Jupyter does; a script keeps the folder it is called from, as Node does.
  if (isNotebook) process.chdir(dirname(path));
  await hostSession({ frontend: new URL("./main.js", import.meta.url), settings, folder: dirname(path) });
}

function target(file: string | boolean | undefined): string | null {
  if (typeof file !== "string") return null;
  const path = resolve(file);
  if (!existsSync(dirname(path)))
    throw new CliError(`there is no folder ${dirname(path)} to write ${basename(path)} into`);
  return path;
}

function seconds(text: string | boolean | undefined): number {
  if (text === undefined) return 0;
  const value = Number(text);
  if (!(value > 0 && value < 1e6)) throw new CliError(`--timeout takes seconds, a number above 0, not "${text}"`);
  return value;
}
