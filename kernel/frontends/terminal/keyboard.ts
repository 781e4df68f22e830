/**
 * The terminal's keys, read in the worker. A signal would reach the main thread, which cannot act on it while user code runs; in raw mode Ctrl-C is a key like any other.
 */
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { isatty, ReadStream } from "node:tty";

export class Keyboard {
  readonly #input: ReadStream;
  readonly #own: number | null;

  private constructor(input: ReadStream, own: number | null, key: (text: string) => void) {
    this.#input = input;
    this.#own = own;
    input.setRawMode(true);
    input.setEncoding("utf8");
    input.on("data", (text) => key(String(text)));
    // The terminal went away; whoever waits for a key will be told by the end of the session.
    input.on("error", () => {});
  }

  /** Null when there is no terminal to read from, or another program has it. */
  static open(key: (text: string) => void): Keyboard | null {
    if (!inForeground()) return null;
    try {
      const own = isatty(0) ? null : openSync("/dev/tty", "r");
      return new Keyboard(new ReadStream(own ?? 0), own, key);
    } catch {
      return null;
    }
  }

  onEnd(ended: () => void): void {
    this.#input.on("end", ended);
    this.#input.on("close", ended);
  }

  setRaw(raw: boolean): void {
    this.#input.setRawMode(raw);
  }

  /** Gives the terminal back as it was. */
  close(): void {
    this.#input.removeAllListeners();
    this.#input.on("error", () => {});
    this.#input.setRawMode(false);
    this.#input.pause();
    if (this.#own !== null) {
      this.#input.destroy();
      try {
        closeSync(this.#own);
      } catch {}
    }
  }
}

/** A background job that changes the terminal's mode is stopped by it. */
function inForeground(): boolean {
  try {
    // pid (name) state ppid pgrp session tty tpgid
    const fields = readFileSync("/proc/self/stat", "utf8")
      .replace(/^.*\) /, "")
      .split(" ");
    return fields[2] === fields[5];
  } catch {
    const ids = spawnSync("ps", ["-o", "pgid=,tpgid=", "-p", String(process.pid)], { encoding: "utf8" })
      .stdout?.trim()
      .split(/\s+/);
    return ids?.length === 2 && ids[0] === ids[1];
  }
}

export const CTRL_C = "\x03";
export const CTRL_D = "\x04";
export const CTRL_Z = "\x1a";
