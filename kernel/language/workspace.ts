/**
 * The folder the language server looks at instead of the user's own.
 *
 * Nothing may be written into the notebook's folder, yet a cell must be checked as if it stood there: `./local.ts`, `../lib/x.ts` and packages resolve from it. So the kernel
 * keeps `<tmp>/moescope-cells-PID-XXXX/` with a tsconfig and a `root/` that mirrors the file system: the cells of a notebook in `/home/ada/nb` are `root/home/ada/nb/cell1.ts`. `rootDirs`
 * makes the mirror and the file system one tree to relative imports; links to the `node_modules` above the notebook do the same for packages.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, parse, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { GLOBALS } from "./globals.ts";

const packageRoot = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");

export class Workspace {
  /** The notebook's folder. */
  readonly directory: string;
  /** The server's folder; made on first use. */
  #folder: string | null = null;
  readonly #drive: string;
  /** The `node_modules` folders in reach, and when each last changed. */
  #packages = new Map<string, number>();
  #sources = new Map<string, number>();

  constructor(directory: string) {
    this.directory = resolve(directory);
    this.#drive = parse(this.directory).root;
  }

  get folder(): string {
    this.#folder ??= this.#make();
    return this.#folder;
  }

  /** URI of a cell's document; no such file exists. */
  uri(name: string): string {
    return pathToFileURL(join(this.#mirror(this.directory), name)).href;
  }

  /** The place that stands for a real folder. */
  #mirror(real: string): string {
    return join(this.folder, "root", real.slice(this.#drive.length));
  }

  #make(): string {
    const folder = mkdtempSync(join(cleared(realpathSync(tmpdir())), `${PREFIX}${process.pid}-`));
    this.#folder = folder;
    mkdirSync(this.#mirror(this.directory), { recursive: true });
    this.packagesChanged();
    const config = {
      compilerOptions: {
        ...target(),
        module: "esnext",
        moduleResolution: "bundler",
        allowImportingTsExtensions: true,
        noEmit: true,
        strict: true,
        useUnknownInCatchVariables: false,
        strictPropertyInitialization: false,
        skipLibCheck: true,
        resolveJsonModule: true,
        rootDirs: [join(folder, "root"), this.#drive],
        types: ["node"],
        typeRoots: typeRoots(this.directory),
        paths: ownModules(),
      },
      include: ["root/**/*.ts", "globals.d.ts"],
      exclude: ["**/node_modules"],
    };
    // Last in every search, as at run time: packages that only the kernel has.
    symlinkSync(ownPackages(), join(folder, "node_modules"), "junction");
    writeFileSync(join(folder, "globals.d.ts"), GLOBALS);
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config, null, 2));
    return folder;
  }

  /** Links the `node_modules` folders above the notebook; true when one is new or was installed into since the last call. */
  packagesChanged(): boolean {
    let changed = false;
    for (let real = this.directory; ; real = dirname(real)) {
      const modules = join(real, "node_modules");
      const time = modified(modules);
      if (time !== undefined && this.#packages.get(modules) !== time) {
        const link = join(this.#mirror(real), "node_modules");
        if (!this.#packages.has(modules) && !existsSync(link)) symlinkSync(modules, link, "junction");
        this.#packages.set(modules, time);
        changed = true;
      }
      if (real === dirname(real)) return changed;
    }
  }

  /** Files of the user's own that cells import, and those beside them, as far as they changed since the last call. */
  sourcesChanged(imports: Iterable<string>): string[] {
    const changed: string[] = [];
    for (const folder of new Set([...imports].map((path) => dirname(resolve(this.directory, path))))) {
      for (const name of existsSync(folder) ? readdirSync(folder) : []) {
        if (!/\.([mc]?[tj]sx?|json)$/.test(name)) continue;
        const path = join(folder, name);
        const time = modified(path);
        if (time === undefined || this.#sources.get(path) === time) continue;
        if (this.#sources.has(path)) changed.push(path);
        this.#sources.set(path, time);
      }
    }
    return changed;
  }

  remove(): void {
    if (this.#folder) rmSync(this.#folder, { recursive: true, force: true });
    this.#folder = null;
    this.#packages.clear();
  }
}

const PREFIX = "moescope-cells-";

/** Takes away what kernels that were killed left behind. */
function cleared(temporary: string): string {
  for (const name of readdirSync(temporary)) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid && !alive(Number(pid))) rmSync(join(temporary, name), { recursive: true, force: true });
  }
  return temporary;
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function modified(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs;
}

/** What the session's loader gives under these names, wherever the notebook is. */
function ownModules(): Record<string, string[]> {
  const modules = { moescope: "dist/engine/index.d.ts", tslab: "dist/kernel/display/tslab.d.ts" };
  const entries = Object.entries(modules).map(([name, file]): [string, string[]] => [name, [join(packageRoot, file)]]);
  return Object.fromEntries(entries.filter(([, [file]]) => existsSync(file)));
}

const ownPackages = (): string => dirname(dirname(createRequire(import.meta.url).resolve("typescript/package.json")));

/** The library this Node really has: a method that would be undefined at run time must not complete. */
function target(): { target: string; lib: string[] } {
  const major = Number(process.versions.node.split(".")[0]);
  const lib = ["es2023", "esnext.disposable"];
  if (major >= 22) lib.push("es2024", "esnext.iterator", "esnext.collection", "esnext.array");
  if (major >= 24) lib.push("esnext");
  return { target: "esnext", lib };
}

/** The user's own `@types/node` first: two versions of it in one program contradict each other. */
function typeRoots(directory: string): string[] {
  const roots: string[] = [];
  for (const from of [join(directory, "cell.ts"), import.meta.url]) {
    try {
      roots.push(dirname(dirname(createRequire(from).resolve("@types/node/package.json"))));
    } catch {}
  }
  return [...new Set(roots)];
}
