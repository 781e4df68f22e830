/** What was typed, in this session and earlier ones: one line of JSON an entry, in a file that all front ends share. */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { historyFile } from "../install/paths.ts";

export interface HistoryEntry {
  session: number;
  line: number;
  input: string;
  output: string | null;
}

/** Entries kept in the file. */
const KEEP = 5000;

export class History {
  readonly #file: string;
  readonly #entries: HistoryEntry[];
  readonly #session: number;

  constructor(file = historyFile()) {
    this.#file = file;
    this.#entries = load(file);
    // Seconds: kernels that start together still get numbers in order, and almost never the same.
    this.#session = Math.max(Math.floor(Date.now() / 1000), (this.#entries.at(-1)?.session ?? 0) + 1);
  }

  add(line: number, input: string, output: string | null = null): void {
    const entry: HistoryEntry = {
      session: this.#session,
      line,
      input,
      output: output && output.length > 2000 ? null : output,
    };
    this.#entries.push(entry);
    try {
      mkdirSync(dirname(this.#file), { recursive: true, mode: 0o700 });
      appendFileSync(this.#file, `${JSON.stringify(entry)}\n`, { mode: 0o600 });
    } catch {
      // A home that cannot be written to: the session's own history still works.
    }
  }

  tail(n: number): HistoryEntry[] {
    return n > 0 ? this.#entries.slice(-n) : [];
  }

  /** Session 0 is this one, negative ones count back, others are absolute. Lines from `start` up to, not including, `stop`. */
  range(session: number, start: number, stop: number | null): HistoryEntry[] {
    const wanted = this.#absolute(session);
    return this.#entries.filter((e) => e.session === wanted && e.line >= start && (stop === null || e.line < stop));
  }

  /** `pattern` with `*` and `?` over whole inputs; the last `n` matches. */
  search(pattern: string, n: number | null, unique: boolean): HistoryEntry[] {
    const escaped = pattern
      .replace(/[.+^${}()|[\]\\]/g, "\\$&")
      .replaceAll("*", "[\\s\\S]*")
      .replaceAll("?", "[\\s\\S]");
    const expression = new RegExp(`^${escaped}$`);
    let found = this.#entries.filter((e) => expression.test(e.input));
    if (unique) found = [...new Map(found.map((e) => [e.input, e])).values()];
    return n === null ? found : n > 0 ? found.slice(-n) : [];
  }

  #absolute(session: number): number | undefined {
    if (session > 0) return session;
    const sessions = [
      ...new Set([...this.#entries.map((e) => e.session).filter((s) => s !== this.#session), this.#session]),
    ];
    return sessions.at(session - 1);
  }
}

function load(file: string): HistoryEntry[] {
  let lines: string[];
  try {
    lines = readFileSync(file, "utf8").split("\n").filter(Boolean);
  } catch {
    return [];
  }
  if (lines.length > 2 * KEEP) {
    lines = lines.slice(-KEEP);
    try {
      writeFileSync(file, `${lines.join("\n")}\n`, { mode: 0o600 });
    } catch {}
  }
  return lines.flatMap((line) => {
    try {
      const entry = JSON.parse(line);
      return typeof entry.input === "string" && Number.isInteger(entry.session) ? [entry as HistoryEntry] : [];
    } catch {
      return [];
    }
  });
}
