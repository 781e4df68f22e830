/** `process.stdout` and `process.stderr` of user code lead to the cell. */
import { StringDecoder } from "node:string_decoder";
import type { StreamName } from "../bridge/messages.ts";

export function redirectStdio(write: (stream: StreamName, text: string) => void): void {
  for (const name of ["stdout", "stderr"] as const) {
    const decoder = new StringDecoder("utf8");
    const stream = process[name];
    stream.write = ((chunk: string | Uint8Array, encoding?: unknown, callback?: unknown): boolean => {
      const text =
        typeof chunk !== "string"
          ? decoder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
          : typeof encoding === "string" && Buffer.isEncoding(encoding) && !/^utf-?8$/i.test(encoding)
            ? Buffer.from(chunk, encoding).toString("utf8")
            : chunk;
      if (text) write(name, text);
      const done = typeof encoding === "function" ? encoding : callback;
      if (typeof done === "function") process.nextTick(done as () => void);
      return true;
    }) as typeof stream.write;
  }
}

/**
 * The global console without V8's half of it, which for any inspector session (the guard has one) takes a stack trace of every call and keeps the
 * values of the last thousand. Streams of ours never fail, so nothing listens for that either.
 */
export function plainConsole(): void {
  const own = new console.Console({ stdout: process.stdout, stderr: process.stderr, ignoreErrors: false });
  for (const [name, method] of Object.entries(own)) {
    if (typeof method === "function" && typeof console[name as "log"] === "function") console[name as "log"] = method;
  }
}
