/** A small Jupyter client over raw sockets: starts the kernel as Jupyter does and sees every message. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { Dealer, Request, Subscriber } from "zeromq";
import { createMessage, type Message } from "../../../kernel/protocol/message.ts";
import { Wire } from "../../../kernel/protocol/wire.ts";

export interface Result {
  reply: Message<any>;
  /** Everything on iopub with this request as parent, busy to idle. */
  iopub: Message<any>[];
  stdout: string;
  stderr: string;
  /** text/plain of the execute_result, or null. */
  result: string | null;
  error: { ename: string; evalue: string; traceback: string[] } | null;
  displays: any[];
  ms: number;
}

interface Pending {
  reply?: Message<any>;
  iopub: Message<any>[];
  idle: boolean;
  finish: () => void;
}

const KEY = "test-key";
const START_MS = 30_000;
/** Longer than any cell of the tests runs, shorter than anybody's patience. */
const REQUEST_MS = 60_000;

export class TestKernel {
  readonly process: ChildProcess;
  readonly folder: string;
  readonly shell = new Dealer();
  readonly control = new Dealer();
  readonly stdin = new Dealer();
  readonly iopub = new Subscriber();
  readonly heartbeat = new Request({ receiveTimeout: 2000 });
  /** All of iopub, in order. */
  readonly log: Message<any>[] = [];
  /** Called with each input_request; gives the answer. */
  onInput: ((content: { prompt: string; password: boolean }) => string) | null = null;
  onIopub: ((message: Message<any>) => void) | null = null;
  stderrText = "";
  readonly wire = new Wire(KEY);
  readonly #pending = new Map<string, Pending>();
  readonly #sent = { shell: Promise.resolve(), control: Promise.resolve() };
  #welcome: () => void = () => {};

  private constructor(process: ChildProcess, folder: string) {
    this.process = process;
    this.folder = folder;
    process.stderr!.on("data", (chunk) => {
      this.stderrText += chunk;
    });
    // A test that failed may not have come to its shutdown.
    globalThis.process.once("exit", () => process.kill("SIGKILL"));
  }

  static async start(o: { env?: Record<string, string>; cwd?: string; command?: string[] } = {}): Promise<TestKernel> {
    const folder = mkdtempSync(join(tmpdir(), "moescope-kernel-"));
    const ports = await freePorts(5);
    const file = join(folder, "connection.json");
    const names = ["shell_port", "control_port", "iopub_port", "stdin_port", "hb_port"];
    const connection = {
      transport: "tcp",
      ip: "127.0.0.1",
      key: KEY,
      signature_scheme: "hmac-sha256",
      ...Object.fromEntries(names.map((name, i) => [name, ports[i]])),
    };
    writeFileSync(file, JSON.stringify(connection));
    const [command, ...args] = o.command ?? [process.execPath, resolve("bin/moescope.mjs"), "kernel"];
    const child = spawn(command, [...args, file], {
      cwd: o.cwd ?? folder,
      env: { ...process.env, XDG_CACHE_HOME: join(folder, "cache"), JPY_SESSION_NAME: "", ...o.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const kernel = new TestKernel(child, folder);
    await kernel.#connect(ports);
    return kernel;
  }

  /** The id of the request sent last. */
  lastRequest = "";

  async #connect([shell, control, iopub, stdin, heartbeat]: number[]): Promise<void> {
    const at = (port: number): string => `tcp://127.0.0.1:${port}`;
    const identity = randomUUID();
    this.shell.routingId = this.stdin.routingId = identity;
    this.shell.connect(at(shell));
    this.control.connect(at(control));
    this.stdin.connect(at(stdin));
    this.heartbeat.connect(at(heartbeat));
    const welcome = new Promise<void>((resolve) => {
      this.#welcome = resolve;
    });
    this.iopub.connect(at(iopub));
    this.iopub.subscribe();
    void this.#listenIopub();
    void this.#listenReplies(this.shell);
    void this.#listenReplies(this.control);
    void this.#listenInput();
    const ended = once(this.process, "exit").then(() =>
      Promise.reject(new Error(`the kernel ended at its start: ${this.stderrText}`)),
    );
    ended.catch(() => {});
    await within(
      START_MS,
      "the kernel's first word (iopub_welcome)",
      Promise.race([welcome, ended]),
      () => this.stderrText,
    );
  }

  send(
    channel: "shell" | "control",
    type: string,
    content: object,
    o: { metadata?: object; buffers?: Uint8Array[] } = {},
  ): Message<any> {
    const message = createMessage<any>(type, content, o as never);
    void this.#send(channel, message);
    return message;
  }

  /** One at a time: zeromq refuses a send while another is in flight, which after some hundred quick ones is the case. */
  #send(channel: "shell" | "control", message: Message<any>): Promise<void> {
    const sent = this.#sent[channel].then(() => this[channel].send(this.wire.encode(message)));
    this.#sent[channel] = sent;
    return sent;
  }

  /** Until the reply and the idle have come; fails when one has not by `limit`, saying which. */
  request(
    channel: "shell" | "control",
    type: string,
    content: object,
    { limit = REQUEST_MS, date }: { limit?: number; date?: string } = {},
  ): Promise<Result> {
    const message = createMessage<any>(type, content);
    if (date) message.header.date = date;
    const id = message.header.msg_id;
    this.lastRequest = id;
    const started = performance.now();
    const pending: Pending = { iopub: [], idle: false, finish: () => {} };
    const result = new Promise<Result>((resolve, reject) => {
      pending.finish = () => {
        if (pending.reply && pending.idle) resolve(summary(pending.reply, pending.iopub, performance.now() - started));
      };
      this.#pending.set(id, pending);
      this.#send(channel, message).catch(reject);
    });
    const code = "code" in content ? ` of ${JSON.stringify(String(content.code).slice(0, 200))}` : "";
    const seen = (): string =>
      `reply: ${pending.reply ? "came" : "missing"}; iopub: ${pending.iopub.map((m) => m.content.execution_state ?? m.header.msg_type).join(", ") || "nothing"}\n${this.stderrText}`;
    return within(limit, `the reply and the idle of ${type}${code}`, result, seen).finally(() =>
      this.#pending.delete(id),
    );
  }

  execute(code: string, o: object = {}): Promise<Result> {
    return this.request("shell", "execute_request", {
      code,
      silent: false,
      store_history: true,
      user_expressions: {},
      allow_stdin: this.onInput !== null,
      stop_on_error: true,
      ...o,
    });
  }

  interrupt(): Promise<Result> {
    return this.request("control", "interrupt_request", {});
  }

  async beat(): Promise<number> {
    const started = performance.now();
    // Its own limit is receiveTimeout.
    await this.heartbeat.send("ping");
    await this.heartbeat.receive();
    return performance.now() - started;
  }

  /** Resolves with the first iopub message that the test accepts, past ones included. */
  async until(test: (message: Message<any>) => boolean, ms = 10_000): Promise<Message<any>> {
    const limit = performance.now() + ms;
    for (;;) {
      const found = this.log.find(test);
      if (found) return found;
      if (performance.now() > limit) {
        const last = this.log.slice(-5).map((m) => `${m.header.msg_type} ${JSON.stringify(m.content).slice(0, 200)}`);
        throw new Error(
          `no message on iopub within ${ms} ms of which this is true: ${test}; the last ones:\n${last.join("\n")}\n${this.stderrText}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Asks the kernel to end and waits for it; its exit code, or the signal's name. */
  async shutdown(): Promise<number | string | null> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const exit = once(this.process, "exit");
      this.send("control", "shutdown_request", { restart: false });
      const timer = setTimeout(() => this.process.kill("SIGKILL"), 8000);
      await exit;
      clearTimeout(timer);
    }
    for (const socket of [this.shell, this.control, this.stdin, this.iopub, this.heartbeat]) socket.close();
    rmSync(this.folder, { recursive: true, force: true });
    return this.process.exitCode ?? this.process.signalCode;
  }

  async #listenIopub(): Promise<void> {
    for await (const frames of this.iopub) {
      const message = this.wire.decode(frames);
      if (message.header.msg_type === "iopub_welcome") this.#welcome();
      this.log.push(message);
      this.onIopub?.(message);
      const pending = this.#pending.get((message.parent as { msg_id?: string }).msg_id ?? "");
      if (!pending) continue;
      pending.iopub.push(message);
      if (message.header.msg_type === "status" && message.content.execution_state === "idle") {
        pending.idle = true;
        pending.finish();
      }
    }
  }

  async #listenReplies(socket: Dealer): Promise<void> {
    for await (const frames of socket) {
      const message = this.wire.decode(frames);
      const pending = this.#pending.get((message.parent as { msg_id?: string }).msg_id ?? "");
      if (!pending) continue;
      pending.reply = message;
      pending.finish();
    }
  }

  async #listenInput(): Promise<void> {
    for await (const frames of this.stdin) {
      const message = this.wire.decode(frames);
      if (!this.onInput) continue;
      const value = this.onInput(message.content);
      await this.stdin.send(
        this.wire.encode(createMessage("input_reply", { value, status: "ok" }, { parent: message.header })),
      );
    }
  }
}

/** A wait without a limit hangs a test run without a word. */
export async function within<T>(ms: number, what: string, work: Promise<T>, seen = (): string => ""): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms in vain for ${what}\n${seen()}`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

function summary(reply: Message<any>, iopub: Message<any>[], ms: number): Result {
  const of = (type: string): any[] => iopub.filter((m) => m.header.msg_type === type).map((m) => m.content);
  const text = (name: string): string =>
    of("stream")
      .filter((c) => c.name === name)
      .map((c) => c.text)
      .join("");
  return {
    reply,
    iopub,
    stdout: text("stdout"),
    stderr: text("stderr"),
    result: of("execute_result")[0]?.data["text/plain"] ?? null,
    error: of("error")[0] ?? null,
    displays: of("display_data"),
    ms,
  };
}

async function freePorts(n: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: n }, async () => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Without ANSI colours. */
export const plain = stripVTControlCharacters;
