/**
 * Types, completion and hover for cells: `bridge/language.ts` says what is promised. Lines that are not TypeScript (magics) come in blanked, so that positions stay.
 *
 * The server's process starts at once and reads the libraries (0.2 s); answers take some 10 ms afterwards.
 */
import type { CreateLanguage } from "../bridge/language.ts";
import { Cells } from "./cells.ts";
import { completeness } from "./completeness.ts";
import { alive, merged, typed } from "./completion.ts";
import { diagnostics, type ServerDiagnostic } from "./diagnostics.ts";
import { type Hover, inspection, type Signatures, valueAt } from "./inspection.ts";
import { LanguageServer } from "./server.ts";
import { Workspace } from "./workspace.ts";

export { renderDiagnostics } from "./diagnostics.ts";

const CHECK_LIMIT_MS = 10_000;
/** Someone is waiting with a finger on the key. */
const TYPING_LIMIT_MS = 3_000;

const MODULE_NOT_FOUND = new Set([2307, 2792]);

export const createLanguage: CreateLanguage = ({ folder, live }) => {
  const workspace = new Workspace(folder);
  const server = new LanguageServer(workspace);
  const cells = new Cells(server, workspace);
  // The first answer waits for the libraries to be read; better while the user still types.
  void server.ask("textDocument/diagnostic", { textDocument: cells.scratch("", 0).textDocument }, CHECK_LIMIT_MS);

  return {
    async check({ count, code }) {
      const { uri } = cells.candidate(count, code);
      const ask = async () =>
        (
          await server.ask<{ items?: ServerDiagnostic[] }>(
            "textDocument/diagnostic",
            { textDocument: { uri } },
            CHECK_LIMIT_MS,
          )
        )?.items ?? [];
      server.touch(workspace.sourcesChanged(cells.files));
      let found = await ask();
      // The server remembers what it did not find; `npm install` in another window is when that is wrong.
      if (found.some((item) => MODULE_NOT_FOUND.has(item.code)) && workspace.packagesChanged()) {
        await server.restart();
        found = await ask();
      }
      return diagnostics(found, uri, code, cells);
    },

    accept: ({ count, code }) => cells.accept(count, code),

    async complete(code, cursor) {
      const [answer, values] = await Promise.all([
        server.ask("textDocument/completion", cells.scratch(code, cursor), TYPING_LIMIT_MS),
        alive(live, code, cursor).catch(() => ({ items: [], start: cursor, end: cursor })),
      ]);
      return merged(typed(answer, code, cursor), values, code);
    },

    async inspect(code, cursor, detail) {
      // The word the cursor stands behind counts as under it.
      const places = cursor > 0 ? [cursor, cursor - 1] : [cursor];
      let hover: Hover | null = null;
      for (const place of places)
        hover ??= await server.ask<Hover>("textDocument/hover", cells.scratch(code, place), TYPING_LIMIT_MS);
      const help = hover
        ? null
        : await server.ask<Signatures>("textDocument/signatureHelp", cells.scratch(code, cursor), TYPING_LIMIT_MS);
      return inspection(hover, help, await valueAt(live, code, cursor, detail));
    },

    isComplete: completeness,

    async close() {
      await server.stop();
      workspace.remove();
    },
  };
};
