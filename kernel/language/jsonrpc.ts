/** JSON-RPC over a pair of streams with `Content-Length` headers, as the Language Server Protocol's base protocol frames it. */
import type { Readable, Writable } from "node:stream";

type Id = number | string;
interface Message {
  id?: Id;
  method?: string;
  params?: unknown;
  result?: unknown;
  error?: { code: number; message: string };
}

export class RpcError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.name = "RpcError";
    this.code = code;
  }
}

/** The other side is gone. */
export class Disconnected extends Error {
  constructor(message = "the language server ended") {
    super(message);
    this.name = "Disconnected";
  }
}

export class TimedOut extends Error {
  override name = "TimedOut";
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

export class JsonRpc {
  readonly #output: Writable;
  readonly #answer: (method: string, params: any) => unknown;
  readonly #waiting = new Map<Id, Waiting>();
  #chunks: Buffer[] = [];
  #bytes = 0;
  #id = 0;
  #closed = false;

  /** @param answer Handles the server's own requests (its value is sent back) and notifications (its value is ignored). */
  constructor(input: Readable, output: Writable, answer: (method: string, params: any) => unknown) {
    this.#output = output;
    this.#answer = answer;
    input.on("data", (chunk: Buffer) => this.#take(chunk));
    // A server that dies with unread input must not take the kernel along.
    output.on("error", () => this.close());
  }

  /** @throws {RpcError} the server's refusal; {@link Disconnected} when it ends; {@link TimedOut} after `limit` milliseconds. */
  request<T>(method: string, params: unknown, limit: number): Promise<T> {
    if (this.#closed) return Promise.reject(new Disconnected());
    const id = ++this.#id;
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        this.notify("$/cancelRequest", { id });
        reject(new TimedOut(`no answer to ${method} within ${limit} ms`));
      }, limit);
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject, timer });
      this.#send({ id, method, params });
    });
  }

  notify(method: string, params: unknown): void {
    if (!this.#closed) this.#send({ method, params });
  }

  close(): void {
    this.#closed = true;
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new Disconnected());
    }
    this.#waiting.clear();
  }

  #send(message: Message): void {
    const body = Buffer.from(JSON.stringify({ jsonrpc: "2.0", ...message }));
    this.#output.write(`Content-Length: ${body.length}\r\n\r\n`);
    this.#output.write(body);
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    for (let message = this.#next(); message; message = this.#next()) this.#dispatch(message);
  }

  /** The next whole message, or null. Chunks are joined only when one could be whole: long answers arrive in many. */
  #next(): Message | null {
    if (!this.#bytes) return null;
    if (this.#chunks.length > 1 && this.#bytes >= this.#wanted) this.#chunks = [Buffer.concat(this.#chunks)];
    const buffer = this.#chunks[0];
    if (this.#chunks.length > 1) return null;
    const head = buffer.indexOf("\r\n\r\n");
    if (head < 0) return null;
    const length = Number(/Content-Length: *(\d+)/i.exec(buffer.toString("latin1", 0, head))?.[1] ?? 0);
    const end = head + 4 + length;
    if (buffer.length < end) {
      this.#wanted = end;
      return null;
    }
    const text = buffer.toString("utf8", head + 4, end);
    this.#chunks = end < buffer.length ? [buffer.subarray(end)] : [];
    this.#bytes = buffer.length - end;
    this.#wanted = 0;
    return JSON.parse(text) as Message;
  }
  #wanted = 0;

  #dispatch(message: Message): void {
    const { id, method } = message;
    if (method !== undefined) {
      const result = this.#answer(method, message.params);
      if (id !== undefined) this.#send({ id, result: result ?? null });
      return;
    }
    const waiting = id === undefined ? undefined : this.#waiting.get(id);
    if (!waiting) return;
    this.#waiting.delete(id!);
    clearTimeout(waiting.timer);
    if (message.error) waiting.reject(new RpcError(message.error.code, message.error.message));
    else waiting.resolve(message.result);
  }
}
