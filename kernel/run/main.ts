/** The front end of `moescope run`, in the worker: cell after cell into the session, outputs to the terminal and into the notebook. */
import { isatty } from "node:tty";
import { stripVTControlCharacters } from "node:util";
import { workerData } from "node:worker_threads";
import type { CellId, Output, StreamName } from "../bridge/messages.ts";
import { connectSession } from "../bridge/session-client.ts";
import type { FrontendData } from "../bridge/shared.ts";
import { Cells } from "../frontends/cells.ts";
import { isCtrlC, Keyboard } from "../frontends/terminal/keyboard.ts";
import { LiveDisplays } from "../frontends/terminal/live-displays.ts";
import { type NotebookCell, notebookText, writeWhole } from "./notebook.ts";
import { OutputCollector } from "./outputs.ts";
import { Progress } from "./progress.ts";
import type { RunSettings } from "./start.ts";

/** How long an interrupted cell may take to end before the process is given up. */
const STUCK_MS = 5000;
const INTERRUPTED = 130;

const { name, notebook, out, html, allowErrors, timeout } = (workerData as FrontendData<RunSettings>).settings;
const code = notebook.cells.filter((cell) => cell.cell_type === "code" && cell.source.trim() !== "");
const progress = new Progress(code.length);
const outputs = new OutputCollector();
const live = new LiveDisplays();
const owners = new Map<CellId, NotebookCell>();
let current: NotebookCell = code[0];

const colors = (fd: 1 | 2): boolean => isatty(fd) && !process.env["NO_COLOR"];
const print = (fd: 1 | 2, text: string): void => progress.print(fd, colors(fd) ? text : stripVTControlCharacters(text));
const note = (text: string): void => progress.print(2, `moescope: ${text}\n`);

const client = connectSession({
  stream(id, stream, text) {
    outputs.stream(owners.get(id) ?? current, stream, text);
    // What a program prints is its own: passed on as it is.
    progress.print(stream === "stdout" ? 1 : 2, text);
  },
  output: (id, output) => show(owners.get(id) ?? current, output),
  comm() {},
  input: () => client.answer(null),
});
const cells = new Cells(client);

function show(cell: NotebookCell, output: Output): void {
  outputs.output(cell, output);
  if (output.type === "error") print(2, `${output.error.traceback.join("\n")}\n`);
  else if (output.type !== "clear") {
    const text = output.type === "display" ? live.take(output) : output.data["text/plain"];
    if (typeof text === "string") print(1, `${text}\n`);
    else progress.say(live.states.at(-1)?.split("\n")[0] ?? "");
  }
}

/** 0: as it should; 1: it failed. */
async function runCell(cell: NotebookCell, count: number): Promise<0 | 1> {
  current = cell;
  cell.execution_count = count;
  progress.begin(count, cell.source);
  let stuck: NodeJS.Timeout | undefined;
  const limit = timeout
    ? setTimeout(() => {
        note(`cell ${count} took longer than ${timeout} s and is interrupted`);
        cells.interrupt();
        stuck = setTimeout(() => giveUp(`cell ${count} did not end when interrupted`, 1), STUCK_MS);
      }, timeout * 1000)
    : undefined;
  const outcome = await cells.run(
    { code: cell.source, count },
    {
      started: (id) => void owners.set(id, cell),
      say(stream: StreamName, text: string) {
        outputs.stream(cell, stream, text);
        print(stream === "stdout" ? 1 : 2, text);
      },
      refused: (error) => show(cell, { type: "error", error }),
    },
  );
  clearTimeout(limit);
  clearTimeout(stuck);
  for (const text of live.end(false)) print(1, `${text}\n`);
  if (outcome.status === "ok" && outcome.page) print(1, `${outcome.page["text/plain"]}\n`);
  progress.end();
  const mayFail = (cell.metadata["tags"] as string[] | undefined)?.includes("raises-exception");
  return outcome.status === "error" && !mayFail ? 1 : 0;
}

function save(): void {
  if (out) writeWhole(out, notebookText(notebook));
}

async function savePage(): Promise<void> {
  if (html) writeWhole(html, (await import("./page/page.ts")).notebookPage(notebook, name));
}

/** User code that nothing stops holds the main thread. What there is is saved; the process ends without it. */
async function giveUp(why: string, exitCode: number): Promise<void> {
  note(why);
  save();
  await savePage();
  keyboard?.close();
  client.exit(exitCode);
}

let pressed = 0;
const keyboard = isatty(2)
  ? Keyboard.open((key) => {
      if (!isCtrlC(key)) return;
      if (++pressed > 1) return void giveUp("stopped", INTERRUPTED);
      note("interrupting; Ctrl-C again to quit");
      cells.interrupt();
    })
  : null;

async function main(): Promise<number> {
  for (const cell of notebook.cells)
    if (cell.cell_type === "code") Object.assign(cell, { outputs: [], execution_count: null });
  notebook.metadata["kernelspec"] = { name: "moescope", display_name: "TypeScript (Moescope)", language: "typescript" };
  notebook.metadata["language_info"] ??= { name: "typescript", file_extension: ".ts", mimetype: "text/typescript" };
  await client.ready;
  let failed = 0;
  for (const [index, cell] of code.entries()) {
    const bad = await runCell(cell, index + 1);
    failed += bad;
    save();
    if (pressed) {
      note(`stopped at cell ${index + 1} of ${code.length}`);
      break;
    }
    if (bad && !allowErrors) {
      if (index + 1 < code.length)
        note(`cell ${index + 1} of ${code.length} failed, so the rest was not run (--allow-errors goes on)`);
      break;
    }
  }
  save();
  await savePage();
  if (pressed) return INTERRUPTED;
  return failed && !allowErrors ? 1 : 0;
}

let exitCode = 1;
try {
  exitCode = await main();
} catch (error) {
  progress.end();
  note(`${(error as Error).message}`);
}
keyboard?.close();
await cells.close();
await client.shutdown();
client.exit(exitCode);
