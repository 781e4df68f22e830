/** The Jupyter kernel as clients see it: sockets, the table of requests, busy and idle around each. */
import { writeSync } from "node:fs";
import type { CommMessage } from "../../bridge/messages.ts";
import { connectSession, type SessionClient } from "../../bridge/session-client.ts";
import { HeartbeatChannel } from "../../channels/heartbeat.ts";
import { IopubChannel } from "../../channels/iopub.ts";
import { RouterChannel } from "../../channels/router-channel.ts";
import { address, type Connection } from "../../protocol/connection.ts";
import type { Header, Message } from "../../protocol/message.ts";
import { Wire } from "../../protocol/wire.ts";
import { Cells } from "../cells.ts";
import type { History } from "../history.ts";
import { Execution, errorContent, socketsRead } from "./execution.ts";
import { watchParent } from "./life.ts";
import { Parents } from "./parents.ts";
import { type Answer, answers, CommRegistry } from "./requests.ts";

/** After the start, which it would slow down. */
const WARM_MS = 300;

const COMM_TYPES: Record<string, CommMessage["kind"]> = { comm_open: "open", comm_msg: "msg", comm_close: "close" };

export class JupyterFrontend {
  readonly #connection: Connection;
  readonly #wire: Wire;
  readonly #shell: RouterChannel;
  readonly #control: RouterChannel;
  readonly #stdin: RouterChannel;
  readonly #iopub: IopubChannel;
  readonly #heartbeat = new HeartbeatChannel();
  readonly #client: SessionClient;
  readonly #cells: Cells;
  readonly #execution: Execution;
  readonly #parents = new Parents();
  readonly #comms = new CommRegistry();
  readonly #answers: Record<string, [string, Answer]>;
  #history: Promise<History> | null = null;
  #question: Header | null = null;
  #ready = false;
  /** The last interrupt. Sockets keep no order between them: what it was meant for may still be on its way. */
  #overtaking: Header | null = null;
  #ending = false;

  constructor(connection: Connection) {
    this.#connection = connection;
    // One for all sockets: a message is not to be replayed on another.
    this.#wire = new Wire(connection.key, connection.signature_scheme);
    this.#shell = new RouterChannel(this.#wire);
    this.#control = new RouterChannel(this.#wire);
    this.#stdin = new RouterChannel(this.#wire);
    this.#iopub = new IopubChannel(this.#wire);
    this.#client = connectSession({
      stream: (cell, name, text) => this.#publish(cell, "stream", { name, text }),
      output: (cell, output) => this.#output(cell, output),
      comm: (cell, comm) => this.#sendComm(cell, comm),
      input: (cell, prompt, password) => this.#ask(cell, prompt, password),
    });
    this.#cells = new Cells(this.#client);
    const history = (): Promise<History> =>
      (this.#history ??= import("../history.ts").then(({ History }) => new History()));
    this.#execution = new Execution({ cells: this.#cells, iopub: this.#iopub, parents: this.#parents, history });
    this.#answers = answers({ cells: this.#cells, history, comms: this.#comms });
  }

  async start(): Promise<void> {
    const c = this.#connection;
    // The shell first: a client asks there for the kernel's first word, and tries again and again until it is there.
    this.#shell.bind(address(c, "shell_port"));
    this.#iopub.bind(address(c, "iopub_port"));
    this.#control.bind(address(c, "control_port"));
    this.#stdin.bind(address(c, "stdin_port"));
    this.#heartbeat.bind(address(c, "hb_port"));
    void this.#iopub.listen();
    void this.#heartbeat.listen();
    void this.#shell.listen((message, channel) => this.#receive(message, channel), log);
    void this.#control.listen((message, channel) => this.#receive(message, channel), log);
    void this.#stdin.listen((message) => this.#input(message), log);
    await this.#iopub.status("starting", null);
    watchParent(() => void this.#end());
    await this.#client.ready;
    this.#ready = true;
    setTimeout(() => void this.#cells.warm().catch(() => {}), WARM_MS);
  }

  #receive(message: Message<any>, channel: RouterChannel): void {
    const type = message.header.msg_type;
    const kind = COMM_TYPES[type];
    if (type === "execute_request") {
      this.#execution.execute(message, channel, this.#ready ? null : this.#client.ready);
      if (this.#overtaking && isEarlier(message.header, this.#overtaking)) this.#cells.interrupt();
    }
    // A comm that a waiting cell may still open or register keeps its place behind that cell; one that is open is heard at once.
    else if (kind && this.#execution.busy && (kind === "open" || !this.#comms.has(message.content.comm_id))) {
      this.#execution.inOrder(message, () => this.#receiveComm(kind, message));
    } else void this.#handle(message, channel, kind);
  }

  async #handle(message: Message<any>, channel: RouterChannel, comm: CommMessage["kind"] | undefined): Promise<void> {
    const type = message.header.msg_type;
    await this.#iopub.status("busy", message.header);
    try {
      if (comm) this.#receiveComm(comm, message);
      else if (type === "interrupt_request") {
        // A cell that was sent before, on another socket, may not have been read yet.
        if (!this.#execution.busy) await socketsRead();
        this.#overtaking = message.header;
        this.#cells.interrupt();
        await channel.reply(message, "interrupt_reply", { status: "ok" });
      } else if (type === "shutdown_request") await this.#shutdown(message, channel);
      else if (type in this.#answers) await this.#answer(message, channel);
      else log(`an unknown message type: ${type}`);
    } finally {
      await this.#iopub.status("idle", message.header);
    }
    if (type === "shutdown_request") await this.#end();
  }

  async #answer(message: Message<any>, channel: RouterChannel): Promise<void> {
    const [reply, answer] = this.#answers[message.header.msg_type];
    let content: object;
    try {
      content = await answer(message.content, message);
    } catch (error) {
      const { name, message: text, stack } = error as Error;
      content = { status: "error", ...errorContent({ name, message: text, traceback: String(stack).split("\n") }) };
    }
    await channel.reply(message, reply, content);
  }

  async #shutdown(message: Message<any>, channel: RouterChannel): Promise<void> {
    const content = { status: "ok", restart: message.content.restart === true };
    await channel.reply(message, "shutdown_reply", content);
    await this.#iopub.publish("shutdown_reply", content, message.header);
  }

  /** Everything said is sent, then the process ends. */
  async #end(): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    await this.#client.shutdown();
    await Promise.race([this.#cells.close(), new Promise((resolve) => setTimeout(resolve, 500))]);
    await Promise.all([this.#shell.close(), this.#control.close(), this.#stdin.close(), this.#iopub.close()]);
    this.#heartbeat.close();
    this.#client.exit();
  }

  #publish(
    cell: number,
    type: string,
    content: object,
    o: { metadata?: Record<string, unknown>; buffers?: Uint8Array[] } = {},
  ): Promise<void> {
    return this.#iopub.publish(type, content, this.#parents.of(cell)?.request.header ?? null, o);
  }

  #output(cell: number, output: Parameters<Parameters<typeof connectSession>[0]["output"]>[1]): Promise<void> {
    switch (output.type) {
      case "display": {
        const { data, metadata, id } = output;
        const transient = id === undefined ? {} : { display_id: id };
        return this.#publish(cell, output.update ? "update_display_data" : "display_data", {
          data,
          metadata,
          transient,
        });
      }
      case "result": {
        const { data, metadata } = output;
        const count = this.#parents.of(cell)?.count ?? 0;
        this.#execution.results.set(count, String(data["text/plain"] ?? ""));
        return this.#publish(cell, "execute_result", { execution_count: count, data, metadata, transient: {} });
      }
      case "error":
        return this.#publish(cell, "error", errorContent(output.error));
      case "clear":
        return this.#publish(cell, "clear_output", { wait: output.wait });
    }
  }

  #sendComm(cell: number, comm: CommMessage): Promise<void> {
    this.#comms.observe(comm);
    const content = { comm_id: comm.id, data: comm.data, ...(comm.kind === "open" && { target_name: comm.target }) };
    return this.#publish(cell, `comm_${comm.kind}`, content, { metadata: comm.metadata, buffers: comm.buffers });
  }

  #receiveComm(kind: CommMessage["kind"], message: Message<any>): void {
    const { comm_id, target_name, data } = message.content;
    const comm: CommMessage = {
      kind,
      id: String(comm_id),
      target: target_name,
      data,
      metadata: message.metadata,
      buffers: message.buffers,
    };
    this.#comms.observe(comm);
    this.#client.comm(comm);
  }

  #ask(cell: number, prompt: string, password: boolean): Promise<void> | void {
    const parent = this.#parents.of(cell);
    if (!parent) return this.#client.answer(null);
    const { header, sent } = this.#stdin.ask(parent.request, "input_request", { prompt, password });
    this.#question = header;
    return sent;
  }

  /** Only the reply to the question that is open; an interrupted one's comes too late. */
  #input(message: Message<any>): void {
    if (message.header.msg_type !== "input_reply" || !this.#question) return;
    const parent = (message.parent as Header).msg_id;
    if (parent !== undefined && parent !== this.#question.msg_id) return;
    this.#question = null;
    this.#client.answer(String(message.content.value ?? ""));
  }
}

/** By the clock of the client that sent both. */
const isEarlier = (a: Header, b: Header): boolean => a.session === b.session && Date.parse(a.date) < Date.parse(b.date);

/** Not through process.stderr: in a worker that leads through the main thread, which may be busy for hours. */
const log = (text: string): void => {
  try {
    writeSync(2, `moescope kernel: ${text}\n`);
  } catch {
    // A full or closed pipe: nobody reads the log.
  }
};
