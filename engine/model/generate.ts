import { options, quoted } from "../check.ts";
import { ArgumentError, CancelledError, fromNative } from "../errors.ts";
import type { GenerateResult, GenerateTask } from "../native.ts";
import type { Run } from "../run/run.ts";
import type { Capture } from "../sites/capture.ts";
import { TextStream } from "../text/stream.ts";
import type { Long } from "./task.ts";

export interface RunOptions extends Long {
  /** Default `"routing"`. */
  readonly capture?: Capture | readonly Capture[];
}

export interface GenerateOptions extends RunOptions {
  /** Default 128. */
  readonly maxTokens?: number;
  /** Default 0: the likeliest token each time. */
  readonly temperature?: number;
  /** Sample only from the likeliest tokens that together have this probability. Default 1. */
  readonly topP?: number;
  /** Sample only from this many. Default 0: all. */
  readonly topK?: number;
  /** Default 0. The same seed gives the same text. */
  readonly seed?: number;
  /** Ends before the first of these; the reply does not contain it. */
  readonly stop?: string | readonly string[];
}

export interface Sampling {
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly seed: number;
  readonly stops: readonly string[];
}

/** Defaults and ranges. */
export function samplingOf(o: GenerateOptions): Sampling {
  const fail = (name: string, value: unknown, fix: string): never => {
    throw new ArgumentError({
      where: `generate, ${name}`,
      what: `${quoted(value)} is not accepted`,
      fix,
    });
  };
  const { maxTokens = 128, temperature = 0, topP = 1, topK = 0, seed = 0, stop = [] } = options(o, "generate");
  if (!Number.isInteger(maxTokens) || maxTokens < 1) fail("maxTokens", maxTokens, "Give a whole number of at least 1");
  if (!(Number.isFinite(temperature) && temperature >= 0)) fail("temperature", temperature, "Give 0 (greedy) or more");
  if (!(Number.isFinite(topP) && topP > 0 && topP <= 1)) fail("topP", topP, "Give a number above 0, up to 1");
  if (!Number.isInteger(topK) || topK < 0) fail("topK", topK, "Give 0 (all) or a whole number");
  if (!Number.isSafeInteger(seed) || seed < 0) fail("seed", seed, "Give a whole number from 0");
  const stops = [stop].flat() as string[];
  if (!stops.every((s) => typeof s === "string" && s !== "")) fail("stop", stop, "Give texts that are not empty");
  return { maxTokens, temperature, topP, topK, seed, stops };
}

/** One generated token, as it comes. */
export interface Step {
  /** Row of the run. */
  readonly t: number;
  /** 0 for the first generated token. */
  readonly step: number;
  readonly id: number;
  /** The text that became certain with this token: whole characters, never the beginning of a stop string. May be empty. */
  readonly text: string;
}

/** Generation as it goes: `for await (const step of live) …`, then `await live.run`. Leaving the loop stops it. */
export interface Stream extends AsyncIterable<Step> {
  /** The whole run, when it is done. */
  readonly run: Promise<Run>;
}

export interface Generated {
  readonly result: GenerateResult;
  /** Generated tokens that belong to the run. A stop string ends it before the token that completes the string. */
  readonly kept: number;
  /** Ended by a stop string. */
  readonly stopped: boolean;
  /** The text, without control tokens and without the stop string. */
  readonly reply: string;
}

interface Follow {
  readonly promptRows: number;
  readonly stops: readonly string[];
  /** Bytes of a token that is text; null for control tokens. */
  readonly bytes: (id: number) => Uint8Array | null;
  readonly signal: AbortSignal | undefined;
  readonly onStep: (step: Step) => void;
  /** The reader left. */
  readonly left: () => boolean;
}

const rethrow = (e: unknown): never => {
  throw fromNative(e);
};

/** Follows a generation token by token; ends it at a stop string. */
export async function follow(task: GenerateTask, o: Follow): Promise<Generated> {
  const text = new TextStream(o.stops);
  let seen = 0;
  let kept: number | null = null;
  let ended = false;
  let reply = "";
  const done = task.done.finally(() => {
    ended = true;
  });
  done.catch(() => {});
  while (!ended && kept === null && !o.left()) {
    const ids = await task.next(seen).catch(rethrow);
    if (ids.length <= seen) break;
    kept = read(ids);
  }
  if (kept !== null || o.left()) task.cancel();
  const result = await done.catch(rethrow);
  if (o.signal?.aborted) {
    result.release();
    throw new CancelledError();
  }
  if (kept === null && !o.left()) kept = read(result.ids);
  const rest = text.end();
  if (rest !== "" && seen > 0) emit(seen - 1, result.ids[Math.min(seen, result.ids.length) - 1], rest);
  return { result, kept: Math.min(kept ?? result.ids.length, result.ids.length), stopped: text.stopped, reply };

  function emit(step: number, id: number, piece: string): void {
    reply += piece;
    o.onStep({ t: o.promptRows + step, step, id, text: piece });
  }

  function read(ids: Int32Array): number | null {
    for (; seen < ids.length; seen++) {
      const bytes = o.bytes(ids[seen]);
      const piece = bytes ? text.push(bytes) : "";
      emit(seen, ids[seen], piece);
      if (text.stopped) return seen++;
    }
    return null;
  }
}

/** A queue that one side fills and a `for await` empties. */
export class StepQueue implements AsyncIterable<Step> {
  readonly #steps: Step[] = [];
  #wake: (() => void) | null = null;
  #ended = false;
  #error: unknown = null;
  #left = false;

  get left(): boolean {
    return this.#left;
  }

  push(step: Step): void {
    this.#steps.push(step);
    this.#wake?.();
  }

  end(error: unknown = null): void {
    this.#ended = true;
    this.#error = error;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Step> {
    try {
      for (;;) {
        const step = this.#steps.shift();
        if (step) yield step;
        else if (this.#ended) {
          if (this.#error) throw this.#error;
          return;
        } else
          await new Promise<void>((wake) => {
            this.#wake = wake;
          });
      }
    } finally {
      this.#left = true;
      this.#onLeave?.();
    }
  }

  #onLeave: (() => void) | null = null;

  /** Called when the reader leaves the loop or reaches the end. */
  onLeave(fn: () => void): void {
    this.#onLeave = fn;
  }
}
