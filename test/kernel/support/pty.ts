/** A program under a real pseudo-terminal, which `script` of util-linux provides. */
import { type ChildProcess, spawn } from "node:child_process";
import { Terminal } from "./terminal.ts";

export class Pty {
  readonly terminal: Terminal;
  readonly child: ChildProcess;
  /** All that was written, control sequences included. */
  raw = "";
  readonly ended: Promise<number>;

  constructor(command: string, o: { cwd: string; env?: NodeJS.ProcessEnv; columns?: number; rows?: number }) {
    this.terminal = new Terminal(o.columns ?? 80, o.rows ?? 24);
    const size = `stty cols ${this.terminal.columns} rows ${this.terminal.rows}`;
    this.child = spawn("script", ["-qefc", `${size}; ${command}`, "/dev/null"], {
      cwd: o.cwd,
      env: { ...process.env, TERM: "xterm-256color", ...o.env },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.raw += text;
      this.terminal.write(text);
    });
    this.ended = new Promise((resolve) => this.child.on("close", (code) => resolve(code ?? 128)));
  }

  get text(): string {
    return this.terminal.text;
  }

  send(keys: string): void {
    this.child.stdin!.write(keys);
  }

  /** Until the terminal shows it. */
  async shows(wanted: RegExp | string, limit = 15_000): Promise<string> {
    const seen = (): boolean => (typeof wanted === "string" ? this.text.includes(wanted) : wanted.test(this.text));
    for (const end = Date.now() + limit; !seen(); ) {
      if (Date.now() > end)
        throw new Error(`the terminal does not show ${wanted} after ${limit} ms, but:\n${this.text}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return this.text;
  }

  kill(): void {
    this.child.kill("SIGKILL");
  }
}
