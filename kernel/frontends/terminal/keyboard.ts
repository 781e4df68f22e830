/**
 * The terminal's keys, read in the worker. A signal would reach the main thread, which cannot act on it while user code runs; in raw mode Ctrl-C is a key like any other.
 */
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { emitKeypressEvents } from "node:readline";
import { isatty, ReadStream } from "node:tty";
import type { Key } from "./editor.ts";

export class Keyboard {
  readonly #input: ReadStream;
  /** The descriptor we opened ourselves, when stdin is not the terminal. */
  readonly #own: number | null;

  private constructor(input: ReadStream, own: number | null, press: (key: Key) => void) {
    this.#input = input;
    this.#own = own;
    input.setRawMode(true);
    emitKeypressEvents(input);
    input.on(
      "keypress",
      (text: string | undefined, key: { name?: string; ctrl?: boolean; meta?: boolean; shift?: boolean }) => {
        press({
          name: key.name ?? text ?? "",
          text: text ?? "",
          ctrl: key.ctrl === true,
          alt: key.meta === true,
          shift: key.shift === true,
        });
      },
    );
    input.on("error", () => {});
  }

  /** Null when there is no terminal to read from, or another program has it. */
  static open(press: (key: Key) => void): Keyboard | null {
    if (!inForeground()) return null;
    try {
      const own = isatty(0) ? null : openSync("/dev/tty", "r");
      return new Keyboard(new ReadStream(own ?? 0), own, press);
    } catch {
      return null;
    }
  }

  /** The terminal went away. */
  onEnd(ended: () => void): void {
    this.#input.on("end", ended);
    this.#input.on("close", ended);
  }

  /** Stops this process as Ctrl-Z does elsewhere; returns when it is continued. */
  suspend(): void {
    this.#input.setRawMode(false);
    process.kill(process.pid, "SIGTSTP");
    this.#input.setRawMode(true);
  }

  /** Gives the terminal back as it was. */
  close(): void {
    this.#input.removeAllListeners("end");
    this.#input.removeAllListeners("close");
    this.#input.removeAllListeners("keypress");
    this.#input.setRawMode(false);
    this.#input.pause();
    if (this.#own === null) return;
    this.#input.destroy();
    try {
      closeSync(this.#own);
    } catch {}
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

export const isCtrlC = (key: Key): boolean => key.ctrl && key.name === "c";
