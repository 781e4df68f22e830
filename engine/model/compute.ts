import type { Edit } from "../edits/edit.ts";
import { ArgumentError } from "../errors.ts";
import type { NativeState } from "../native.ts";
import type { Captured } from "../run/captured.ts";
import { partOf } from "../run/part.ts";
import { Run } from "../run/run.ts";
import { type Capture, type PlannedCapture, planCaptures } from "../sites/capture.ts";
import { native } from "./addon.ts";
import { assemble, forwardSpec, type Pass, type PassContext, promptRows, tokenBytesOf } from "./forward.ts";
import { follow, type Generated, type GenerateOptions, type RunOptions, type Step, samplingOf } from "./generate.ts";
import { type Input, type InputContext, readInput, type Sequence } from "./input.ts";
import { kvParts, type PartBytes, refuseCaptures, refuseContext, refuseMemory } from "./plan.ts";
import { orReclaim } from "./reclaim.ts";
import { type Shared, start } from "./shared.ts";
import { checkSignal, finish, type Long, signalOf } from "./task.ts";

/** What a pass will take, counted before anything is allocated. */
export interface Cost {
  readonly captures: readonly PlannedCapture[];
  readonly kv: readonly PartBytes[];
  readonly context: number;
}

export const captureBytes = (cost: Cost): number => cost.captures.reduce((n, c) => n + c.bytes, 0);

/** `more`: rows that generation may add. */
export function costOf(
  s: Shared,
  sequences: readonly Sequence[],
  more: number,
  capture: Capture | readonly Capture[] | undefined,
): Cost {
  const rows = sequences.reduce((n, q) => n + q.ids.length, 0);
  const context = Math.max(...sequences.map((q) => q.ids.length)) + more;
  refuseContext(context);
  return {
    captures: planCaptures(capture, s.facts, { rows, more, keys: context }),
    kv: kvParts(s.config, sequences.length, context, s.device, s.kvElement),
    context,
  };
}

export const inputContext = (s: Shared, o: Long): InputContext => ({
  vocab: s.config.vocab,
  tokenizer: s.tokenizer,
  chatTemplate: s.chatTemplate,
  signal: signalOf(o),
});

/** A pass over sequences that were read. */
export async function forward(
  s: Shared,
  edits: readonly Edit[],
  sequences: readonly Sequence[],
  groups: readonly (string | null)[],
  input: unknown,
  o: RunOptions,
): Promise<Run> {
  checkSignal(signalOf(o));
  const cost = costOf(s, sequences, 0, o.capture);
  const context = passContext(s);
  const pass: Pass = { sequences, groups, captures: cost.captures, edits };
  const prompt = promptRows(sequences, context);
  const spec = forwardSpec(prompt, pass, s.facts);
  const state = await stateFor(s, sequences, cost);
  try {
    const task = start(() => state.forward(spec));
    const result = await s.handle.track(task, () => finish(task, o, `reading ${prompt.ids.length} tokens`));
    return makeRun(s, assemble(result, prompt, pass, context, 0), input, () => result.release());
  } finally {
    state.release();
  }
}

/** Who follows a generation. */
export interface Watcher {
  onStep(step: Step): void;
  /** The reader left: end with what is there. */
  left(): boolean;
  /** Takes a function that ends the generation at once. */
  onCancel(cancel: () => void): void;
}

export const NOBODY: Watcher = { onStep() {}, left: () => false, onCancel() {} };

export async function generate(
  s: Shared,
  edits: readonly Edit[],
  input: Input,
  o: GenerateOptions,
  watcher: Watcher,
): Promise<Run> {
  const { stops, ...sampling } = samplingOf(o);
  const signal = signalOf(o);
  checkSignal(signal);
  if (stops.length > 0 && !s.tokenizer)
    throw new ArgumentError({
      where: "generate, stop",
      what: "without a tokenizer there is no text to stop at",
      fix: "Leave stop out",
    });
  const context = passContext(s);
  const sequences = await readInput(input, inputContext(s, o), true);
  if (sequences.length !== 1)
    throw new ArgumentError({
      where: "m.generate",
      what: `${sequences.length} sequences cannot be continued at once`,
      fix: "Generate them one by one",
    });
  const cost = costOf(s, sequences, sampling.maxTokens, o.capture);
  const pass: Pass = { sequences, groups: [null], captures: cost.captures, edits };
  const prompt = promptRows(sequences, context);
  const spec = {
    ...forwardSpec(prompt, pass, s.facts),
    ...sampling,
    stopIds: Int32Array.from(s.generation.eos.filter((id) => id < s.config.vocab)),
  };
  const state = await stateFor(s, sequences, cost);
  try {
    const task = start(() => state.generate(spec));
    watcher.onCancel(() => task.cancel());
    const made = await s.handle.track(task, async () => {
      const following = follow(task, {
        promptRows: prompt.ids.length,
        stops,
        bytes: textBytes(s, context),
        signal,
        onStep: watcher.onStep,
        left: watcher.left,
      });
      const [, generated] = await Promise.all([finish(task, o, "generating"), following]);
      return generated;
    });
    const all = assemble(made.result, prompt, pass, context, sampling.seed);
    return makeRun(s, upToStop(all, prompt.ids.length, made), input, () => made.result.release());
  } finally {
    state.release();
  }
}

export function passContext(s: Shared): PassContext {
  return { facts: s.facts, tokenizer: s.tokenizer, bos: s.config.bos, engine: native().info().version };
}

/** Everything is refused here, before memory is taken. */
export function stateFor(s: Shared, sequences: readonly Sequence[], cost: Cost): Promise<NativeState> {
  return orReclaim(() => {
    refuseMemory(`a context of ${cost.context} tokens`, cost.kv, "Use a shorter text or fewer sequences");
    refuseCaptures(cost.captures);
    return start(() => s.handle.model.state({ sequences: sequences.length, context: cost.context }));
  });
}

/** Bytes of tokens that are text; null for control tokens. */
function textBytes(s: Shared, context: PassContext): (id: number) => Uint8Array | null {
  const bytes = tokenBytesOf(context);
  return (id) => (s.tokenizer?.isSpecial(id) ? null : bytes(id));
}

const makeRun = ({ tokenizer }: Shared, data: Captured, input: unknown, release: () => void): Run =>
  new Run(data, { input, encode: tokenizer ? (text) => tokenizer.encode(text) : undefined, release });

/** The run up to where a stop string ended it, with the text that was given out. */
function upToStop(all: Captured, promptLength: number, made: Generated): Captured {
  const meta = { ...all.meta, reply: made.reply, reason: made.stopped ? ("stop" as const) : all.meta.reason };
  if (!made.stopped) return { ...all, meta };
  const part = partOf(all, 0, promptLength + made.kept, [0]);
  const logits = part.captures.get("logits");
  // The engine went on for some tokens; what it predicts after those is not what follows the cut.
  const kept = logits?.rows.at(-1) === part.tokens.length - 1;
  const last = kept ? logits!.data.slice(-all.facts.vocab) : new Float32Array(all.facts.vocab).fill(Number.NaN);
  return { ...part, last, meta };
}
