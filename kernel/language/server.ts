/** TypeScript's language server as a child process: started when first asked, started again when it dies, given up for a while when it keeps dying. */
import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Disconnected, JsonRpc, TimedOut } from "./jsonrpc.ts";
import type { Workspace } from "./workspace.ts";

/** This many deaths within this time, and we stop trying for as long. */
const DEATHS = 3;
const DEATHS_WITHIN_MS = 60_000;
const START_LIMIT_MS = 20_000;
const END_LIMIT_MS = 500;
/** No answer for so long, and the process is taken for hung. */
const HUNG_MS = 10_000;

const CAPABILITIES = {
  general: { positionEncodings: ["utf-16"] },
  workspace: { configuration: true },
  textDocument: {
    // Without relatedInformation the server leaves out "did you forget to use 'await'?".
    diagnostic: { relatedInformation: true },
    hover: { contentFormat: ["markdown"] },
    completion: { completionItem: { documentationFormat: ["markdown"], labelDetailsSupport: true } },
    signatureHelp: { signatureInformation: { documentationFormat: ["markdown"], activeParameterSupport: true } },
  },
};

/** Completion offers what the cell can already name; importing stays the user's act. */
const SETTINGS = {
  suggest: { autoImports: false, includeAutomaticOptionalChainCompletions: false },
  preferences: { includeCompletionsForModuleExports: false },
};

interface Document {
  version: number;
  text: string;
}

export class LanguageServer {
  readonly #workspace: Workspace;
  readonly #log: (line: string) => void;
  readonly #documents = new Map<string, Document>();
  #child: ChildProcess | null = null;
  #rpc: JsonRpc | null = null;
  #starting: Promise<void> | null = null;
  #ended: Promise<void> = Promise.resolve();
  #deaths: number[] = [];
  #stopped = false;
  #ready = false;

  constructor(workspace: Workspace, log: (line: string) => void = () => {}) {
    this.#workspace = workspace;
    this.#log = log;
  }

  /** Process id of the running server, for tests and `doctor`. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Opens a document, or gives it new text. Remembered, so that a new server process sees it too. */
  open(uri: string, text: string): void {
    const known = this.#documents.get(uri);
    if (known?.text === text) return;
    const version = (known?.version ?? 0) + 1;
    this.#documents.set(uri, { version, text });
    if (!this.#ready) return;
    if (known)
      this.#rpc!.notify("textDocument/didChange", { textDocument: { uri, version }, contentChanges: [{ text }] });
    else this.#announce(uri);
  }

  shut(uri: string): void {
    if (this.#documents.delete(uri) && this.#ready)
      this.#rpc!.notify("textDocument/didClose", { textDocument: { uri } });
  }

  /** Files on disk that changed since the server read them. */
  touch(paths: string[]): void {
    if (!this.#ready || !paths.length) return;
    this.#rpc!.notify("workspace/didChangeWatchedFiles", {
      changes: paths.map((path) => ({ uri: pathToFileURL(path).href, type: 2 })),
    });
  }

  /** Asks the server; null when it refuses, is slow, or cannot be started. A question whose server died is asked once more. */
  async ask<T = unknown>(method: string, params: unknown, limit: number): Promise<T | null> {
    for (let attempt = 0; attempt < 2; attempt++) {
      try {
        // Not awaited when ready: the question must follow the text it is about with nothing in between.
        if (!this.#ready) await this.start();
        return await this.#rpc!.request<T>(method, params, limit);
      } catch (error) {
        this.#log(`${method}: ${(error as Error).message}`);
        if (error instanceof TimedOut && limit >= HUNG_MS) this.#child?.kill("SIGKILL");
        if (!(error instanceof Disconnected) || this.#stopped || this.#broken()) return null;
        // The pipe may break before the process is reported dead.
        await this.#ended;
      }
    }
    return null;
  }

  start(): Promise<void> {
    if (this.#ready) return Promise.resolve();
    if (this.#stopped || this.#broken()) return Promise.reject(new Disconnected("the language server is not running"));
    this.#starting ??= this.#launch().finally(() => {
      this.#starting = null;
    });
    return this.#starting;
  }

  async #launch(): Promise<void> {
    const folder = this.#workspace.folder;
    const [command, args] = await serverCommand();
    if (this.#stopped) throw new Disconnected();
    // Its own process group: Ctrl-C in a terminal is for the cell, not for the server.
    const child = spawn(command, args, {
      cwd: folder,
      stdio: ["pipe", "pipe", "pipe"],
      detached: process.platform !== "win32",
    });
    child.stderr!.setEncoding("utf8").on("data", (text: string) => this.#log(text.trimEnd()));
    const rpc = new JsonRpc(child.stdout!, child.stdin!, (method, params) =>
      method === "workspace/configuration" ? params.items.map(() => SETTINGS) : null,
    );
    const gone = () => {
      rpc.close();
      if (this.#child !== child) return;
      this.#child = this.#rpc = null;
      this.#ready = false;
      this.#deaths.push(Date.now());
    };
    this.#ended = new Promise((resolve) => {
      for (const event of ["error", "exit"]) child.on(event, () => resolve(gone()));
    });
    this.#child = child;
    this.#rpc = rpc;
    const root = pathToFileURL(folder).href;
    try {
      await rpc.request(
        "initialize",
        {
          processId: process.pid,
          rootUri: root,
          workspaceFolders: [{ uri: root, name: "cells" }],
          capabilities: CAPABILITIES,
        },
        START_LIMIT_MS,
      );
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
    rpc.notify("initialized", {});
    this.#ready = true;
    for (const uri of this.#documents.keys()) this.#announce(uri);
  }

  #announce(uri: string): void {
    const { version, text } = this.#documents.get(uri)!;
    this.#rpc!.notify("textDocument/didOpen", { textDocument: { uri, languageId: "typescript", version, text } });
  }

  #broken(): boolean {
    const now = Date.now();
    this.#deaths = this.#deaths.filter((at) => now - at < DEATHS_WITHIN_MS);
    return this.#deaths.length >= DEATHS;
  }

  async restart(): Promise<void> {
    await this.#end();
    await this.start().catch(() => {});
  }

  stop(): Promise<void> {
    this.#stopped = true;
    return this.#end();
  }

  async #end(): Promise<void> {
    const child = this.#child;
    this.#rpc?.close();
    this.#child = this.#rpc = null;
    this.#ready = false;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    // It ends by itself when its input does; the signal is for one that hangs.
    child.stdin!.end();
    const timer = setTimeout(() => child.kill("SIGKILL"), END_LIMIT_MS);
    await this.#ended;
    clearTimeout(timer);
  }
}

/** The native program itself where the package says where it is; else through Node, which costs a second process. */
export async function serverCommand(): Promise<[string, string[]]> {
  const folder = join(createRequire(import.meta.url).resolve("typescript/package.json"), "..");
  try {
    const { default: path } = await import(pathToFileURL(join(folder, "lib/getExePath.js")).href);
    return [path(), ["--lsp", "--stdio"]];
  } catch {
    return [process.execPath, [join(folder, "bin/tsc"), "--lsp", "--stdio"]];
  }
}
