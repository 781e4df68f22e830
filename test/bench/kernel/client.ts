/** A front end for measuring: talks ZMQ directly, because a Jupyter server in between adds its own delays. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Dealer, Subscriber } from "zeromq";
import { Wire } from "../../../kernel/protocol/wire.ts";
import type { Peer } from "./peers.ts";

const START_LIMIT_MS = 60_000;

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((done) =>
          server.listen(0, "127.0.0.1", () => done((server.address() as { port: number }).port)),
        ),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

export interface Outcome {
  status: string;
  stdout: string;
  ms: number;
}

export class Client {
  readonly peer: Peer;
  #startMs = 0;
  readonly #child: ChildProcess;
  readonly #wire: Wire;
  readonly #shell = new Dealer({ linger: 0, reconnectInterval: 5 });
  readonly #control = new Dealer({ linger: 0, reconnectInterval: 5 });
  readonly #iopub = new Subscriber({ linger: 0, reconnectInterval: 5, receiveHighWaterMark: 0 });
  readonly #folder: string;
  readonly #session = randomUUID();
  readonly #waiting = new Map<string, { stdout: string[]; idle: boolean; reply?: any; done: () => void }>();

  private constructor(peer: Peer, child: ChildProcess, wire: Wire, folder: string) {
    this.peer = peer;
    this.#child = child;
    this.#wire = wire;
    this.#folder = folder;
  }

  /** Starts the kernel and waits for its first kernel_info_reply and the idle that follows it. */
  static async start(peer: Peer): Promise<Client> {
    const folder = mkdtempSync(join(tmpdir(), "moescope-bench-"));
    const [shell_port, control_port, iopub_port, stdin_port, hb_port] = await freePorts(5);
    const key = randomUUID();
    const file = join(folder, "connection.json");
    writeFileSync(
      file,
      JSON.stringify({
        transport: "tcp",
        ip: "127.0.0.1",
        shell_port,
        control_port,
        iopub_port,
        stdin_port,
        hb_port,
        key,
        signature_scheme: "hmac-sha256",
        kernel_name: peer.name,
      }),
    );
    const begin = performance.now();
    const [command, ...args] = peer.argv(file);
    const child = spawn(command, args, { cwd: folder, stdio: "ignore" });
    const client = new Client(peer, child, new Wire(key), folder);
    client.#shell.connect(`tcp://127.0.0.1:${shell_port}`);
    client.#control.connect(`tcp://127.0.0.1:${control_port}`);
    client.#iopub.connect(`tcp://127.0.0.1:${iopub_port}`);
    client.#iopub.subscribe();
    void client.#read(client.#shell);
    void client.#read(client.#control);
    void client.#read(client.#iopub);
    const limit = setTimeout(() => child.kill("SIGKILL"), START_LIMIT_MS);
    const ended = new Promise<never>((_, fail) =>
      child.once("exit", (code) => fail(new Error(`${peer.name} ended with exit code ${code}`))),
    );
    ended.catch(() => {});
    await Promise.race([ended, client.#request(client.#shell, "kernel_info_request", {}, false)]);
    client.#startMs = performance.now() - begin;
    // iopub's subscription may take a moment longer: asked again until an idle has come, too.
    for (;;) {
      const asked = client.#request(client.#shell, "kernel_info_request", {});
      const came = await Promise.race([
        ended,
        asked.then(() => true),
        new Promise<boolean>((done) => setTimeout(() => done(false), 100)),
      ]);
      if (came) break;
    }
    clearTimeout(limit);
    return client;
  }

  /** From the start of the process to its first kernel_info_reply. */
  get startMs(): number {
    return this.#startMs;
  }

  async #read(socket: Dealer | Subscriber): Promise<void> {
    try {
      for await (const frames of socket) {
        const message = this.#wire.decode(frames);
        const entry = this.#waiting.get(message.parent.msg_id);
        if (!entry) continue;
        const type = message.header.msg_type;
        if (type === "stream" && message.content.name === "stdout") entry.stdout.push(message.content.text);
        else if (type === "status" && message.content.execution_state === "idle") entry.idle = true;
        else if (type.endsWith("_reply")) entry.reply = message.content;
        if (entry.idle && entry.reply) entry.done();
      }
    } catch (error) {
      if (!this.#shell.closed) throw error;
    }
  }

  #request(socket: Dealer, type: string, content: object, waitIdle = true): Promise<{ stdout: string; reply: any }> {
    const id = randomUUID();
    const header = {
      msg_id: id,
      msg_type: type,
      session: this.#session,
      username: "bench",
      version: "5.4",
      date: new Date().toISOString(),
    };
    return new Promise((done) => {
      const entry = { stdout: [] as string[], idle: !waitIdle, reply: undefined as any, done: () => {} };
      entry.done = () => {
        this.#waiting.delete(id);
        done({ stdout: entry.stdout.join(""), reply: entry.reply });
      };
      this.#waiting.set(id, entry);
      void socket.send(
        this.#wire.encode({
          identities: [],
          header,
          parent: {} as never,
          metadata: {},
          content: content as never,
          buffers: [],
        }) as Buffer[],
      );
    });
  }

  async execute(code: string): Promise<Outcome> {
    const begin = performance.now();
    const { stdout, reply } = await this.#request(this.#shell, "execute_request", {
      code,
      silent: false,
      store_history: true,
      user_expressions: {},
      allow_stdin: false,
      stop_on_error: true,
    });
    return { status: reply.status, stdout, ms: performance.now() - begin };
  }

  interrupt(): void {
    if (this.peer.interrupt === "signal") this.#child.kill("SIGINT");
    else void this.#request(this.#control, "interrupt_request", {}, false);
  }

  /** Proportional set size of the kernel and all its children, MiB. */
  memoryMiB(): number {
    const tree = new Set([this.#child.pid!]);
    const parents = readdirSync("/proc").flatMap((name) => {
      if (!/^\d+$/.test(name)) return [];
      try {
        const stat = readFileSync(`/proc/${name}/stat`, "utf8");
        return [[Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1])] as const];
      } catch {
        return [];
      }
    });
    for (let grew = true; grew; ) {
      grew = false;
      for (const [pid, parent] of parents) {
        if (tree.has(parent) && !tree.has(pid)) {
          tree.add(pid);
          grew = true;
        }
      }
    }
    let kib = 0;
    for (const pid of tree) {
      try {
        kib += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0);
      } catch {}
    }
    return kib / 1024;
  }

  async stop(): Promise<void> {
    const ended = new Promise((done) => this.#child.once("close", done));
    for (const socket of [this.#shell, this.#control, this.#iopub]) socket.close();
    this.#child.kill("SIGKILL");
    if (this.#child.exitCode === null && this.#child.signalCode === null) await ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
