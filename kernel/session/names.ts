/** The names that cells have declared, and how they stand in script scope. */
import type { NameTable } from "./cell-script.ts";

/** Names by which packages ask where they run: a cell's `const window = 64` must not make them believe in a browser. */
const ENVIRONMENT = new Set(
  "window document self navigator location history screen parent top name status event Deno Bun define module exports importScripts WorkerGlobalScope HTMLElement Element Node Image XMLHttpRequest".split(
    " ",
  ),
);

export class Names implements NameTable {
  readonly renamed = new Set<string>();
  readonly #declared = new Set<string>();

  isTaken(name: string): boolean {
    return this.renamed.has(name) || (!this.#declared.has(name) && (name in globalThis || ENVIRONMENT.has(name)));
  }

  /** Those of a cell's script-scope names that no cell has declared yet. */
  fresh(names: readonly string[]): string[] {
    return names.filter((name) => !this.#declared.has(name));
  }

  /** After script scope has them. */
  add(fresh: readonly string[]): void {
    for (const name of fresh) this.#declared.add(name);
  }
}
