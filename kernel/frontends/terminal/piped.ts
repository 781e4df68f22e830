/** `echo 'code' | moescope repl`: the whole input is one cell. Results go to stdout, errors and warnings to stderr. */
import { readSync } from "node:fs";
import { isatty } from "node:tty";
import { stripVTControlCharacters } from "node:util";
import type { ErrorReport, Output } from "../../bridge/messages.ts";
import { connectSession } from "../../bridge/session-client.ts";
import { Cells } from "../cells.ts";
import { writeAll } from "./fd.ts";
import { LiveDisplays } from "./live-displays.ts";

export async function executeInput(begin: string | null): Promise<void> {
  const colored = (fd: 1 | 2, text: string): string =>
    isatty(fd) && !process.env["NO_COLOR"] ? text : stripVTControlCharacters(text);
  const failed = ({ traceback }: ErrorReport): void => void writeAll(2, colored(2, `${traceback.join("\n")}\n`));
  const live = new LiveDisplays();
  const print = (text: unknown): void => void (typeof text === "string" && writeAll(1, colored(1, `${text}\n`)));
  const show = (output: Output): void => {
    if (output.type === "error") failed(output.error);
    else if (output.type === "display") print(live.take(output));
    else if (output.type === "result") print(output.data["text/plain"]);
  };
  const client = connectSession({
    stream: (_, name, text) => void writeAll(name === "stdout" ? 1 : 2, text),
    output: (_, output) => show(output),
    comm() {},
    input: () => client.answer(null),
  });
  const cells = new Cells(client);
  const texts = [begin, readAll()].filter((text): text is string => text !== null && text.trim() !== "");
  await client.ready;
  let exitCode = 0;
  for (const [index, code] of texts.entries()) {
    const view = {
      started() {},
      say: (name: string, text: string) =>
        void writeAll(name === "stdout" ? 1 : 2, colored(name === "stdout" ? 1 : 2, text)),
      refused: failed,
    };
    const outcome = await cells.run({ code, count: index + 1 }, view);
    for (const text of live.end(false)) print(text);
    if (outcome.status === "ok" && outcome.page) print(outcome.page["text/plain"]);
    if (outcome.status === "error") {
      exitCode = 1;
      break;
    }
  }
  await cells.close();
  await client.shutdown();
  client.exit(exitCode);
}

/** All of stdin. Read here, because the worker's own stdin would come through the main thread. */
function readAll(): string {
  const chunks: Buffer[] = [];
  const chunk = Buffer.alloc(65_536);
  for (;;) {
    try {
      const length = readSync(0, chunk);
      if (length === 0) break;
      chunks.push(Buffer.from(chunk.subarray(0, length)));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EOF") break;
      if (code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
  return Buffer.concat(chunks).toString("utf8");
}
