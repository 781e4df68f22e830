/**
 * The cells as documents of the language server.
 *
 * Each executed cell is a module `cellN.ts` that stays open for as long as something needs it. One generated line stands above the user's text: it imports the names the cell
 * mentions from the cell that last declared each, and exports the cell's own. So any name can be declared again with another type, and the cost of a cell
 * follows what it uses, not how long the notebook is.
 */
import { fileURLToPath } from "node:url";
import { type CellNames, isObjectLiteral, mentionedIn, type NameKind, namesOf } from "./names.ts";
import type { LanguageServer } from "./server.ts";
import type { Workspace } from "./workspace.ts";

interface Cell {
  /** What people call it: the execution count. */
  count: number;
  code: string;
  file: string;
  uri: string;
  names: CellNames;
  /** Documents that the generated line imports from. */
  uses: Set<Cell>;
}

/** The generated line is line 0 of a document; the user's text begins on line 1. */
export const HEADER_LINES = 1;

const SCRATCH = "typing.ts";

export class Cells {
  readonly #server: LanguageServer;
  readonly #workspace: Workspace;
  /** Which cell a name comes from now. */
  readonly #owner = new Map<string, { cell: Cell; kind: NameKind }>();
  readonly #open = new Set<Cell>();
  #candidate: Cell | null = null;
  #serial = 0;

  constructor(server: LanguageServer, workspace: Workspace) {
    this.#server = server;
    this.#workspace = workspace;
  }

  /** The document of a cell that is about to run. */
  candidate(count: number, code: string): Cell {
    this.#drop(this.#candidate);
    const names = namesOf(code);
    const { text, uses } = this.#document(code, names);
    const file = `cell${++this.#serial}.ts`;
    const cell: Cell = { count, code, file, uri: this.#workspace.uri(file), names, uses };
    this.#candidate = cell;
    this.#open.add(cell);
    this.#server.open(cell.uri, text);
    return cell;
  }

  accept(count: number, code: string): void {
    const cell = this.#candidate?.code === code ? this.#candidate : this.candidate(count, code);
    cell.count = count;
    this.#candidate = null;
    for (const [name, kind] of cell.names.declared) this.#owner.set(name, { cell, kind });
    this.#sweep();
  }

  /** Puts the text someone is typing into a document of its own; the position in it for the server. */
  scratch(
    code: string,
    cursor: number,
  ): { textDocument: { uri: string }; position: { line: number; character: number } } {
    const uri = this.#workspace.uri(SCRATCH);
    // Completion must know also those names of which only the beginning stands there.
    this.#server.open(uri, this.#document(code, namesOf(code, cursor), this.#owner.keys()).text);
    const before = code.slice(0, cursor).split(/\r\n|\r|\n/);
    return {
      textDocument: { uri },
      position: { line: before.length - 1 + HEADER_LINES, character: before.at(-1)!.length },
    };
  }

  /** The user's own files that open cells import. */
  get files(): string[] {
    return [...this.#open].flatMap((cell) => cell.names.files);
  }

  /** True for a name that an earlier cell declared. */
  knows(name: string): boolean {
    return this.#owner.has(name);
  }

  /** The cell whose document lies at a path. (Not by its URI: which letters are escaped in one, we and the server decide differently.) */
  at(path: string): { count: number; code: string } | undefined {
    for (const cell of this.#open) if (fileURLToPath(cell.uri) === path) return cell;
    return undefined;
  }

  /** How many documents are open, for tests. */
  get size(): number {
    return this.#open.size;
  }

  #document(
    code: string,
    { declared, exported }: CellNames,
    mentioned: Iterable<string> = mentionedIn(code),
  ): { text: string; uses: Set<Cell> } {
    const uses = new Set<Cell>();
    const imports = new Map<Cell, string[]>();
    let line = "";
    for (const name of mentioned) {
      const owner = declared.has(name) ? undefined : this.#owner.get(name);
      if (!owner) continue;
      uses.add(owner.cell);
      if (owner.kind === "alias") imports.set(owner.cell, [...(imports.get(owner.cell) ?? []), name]);
      else line += `declare ${owner.kind} ${name}: typeof import("./${owner.cell.file}").${name};`;
    }
    for (const [cell, names] of imports) line += `import{${names}}from"./${cell.file}";`;
    line += `export{${[...declared.keys()].filter((name) => !exported.has(name))}};`;
    // `{ a: 1 }` alone is an object to the session, not a block with a label.
    const [open, close] = isObjectLiteral(code) ? ["(", "\n)"] : ["", ""];
    return { text: `${line}${open}\n${code}${close}`, uses };
  }

  #drop(cell: Cell | null): void {
    if (!cell) return;
    this.#open.delete(cell);
    this.#server.shut(cell.uri);
  }

  /** Closes the documents that no current name depends on. */
  #sweep(): void {
    const needed = new Set<Cell>();
    const need = (cell: Cell) => {
      if (needed.has(cell)) return;
      needed.add(cell);
      for (const used of cell.uses) need(used);
    };
    for (const { cell } of this.#owner.values()) need(cell);
    for (const cell of this.#open) if (!needed.has(cell) && cell !== this.#candidate) this.#drop(cell);
  }
}
