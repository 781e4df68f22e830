import { options, quoted } from "../check.ts";
import type { Edit } from "../edits/edit.ts";
import { ArgumentError, CancelledError, InternalError } from "../errors.ts";
import type { GenerateResult, GenerateSpec } from "../native.ts";
import { Profile } from "../run/profile.ts";
import { phaseTime } from "../tables/profile.ts";
import { random } from "../tables/random.ts";
import { costOf, inputContext, passContext, stateFor } from "./compute.ts";
import { forwardSpec, promptRows } from "./forward.ts";
import { type Input, readInput, type Sequence } from "./input.ts";
import { type Shared, start } from "./shared.ts";
import { checkSignal, finish, type Long, signalOf } from "./task.ts";

export interface ProfileOptions extends Long {
  /** Tokens that are made after the input. Default 16. */
  readonly maxTokens?: number;
  /** Runs that are measured, after one that only warms up; the one in the middle by time is told. Default 3. */
  readonly repeat?: number;
}

/** Tokens of the input when none is given. */
const DEFAULT_TOKENS = 512;

export async function profile(
  s: Shared,
  edits: readonly Edit[],
  input: Input | undefined,
  o: ProfileOptions,
): Promise<Profile> {
  const { maxTokens = 16, repeat = 3 } = options(o, "m.profile");
  for (const [name, value, most] of [
    ["maxTokens", maxTokens, 1 << 20],
    ["repeat", repeat, 1000],
  ] as const)
    if (!Number.isInteger(value) || value < 1 || value > most)
      throw new ArgumentError({
        where: `m.profile, ${name}`,
        what: `${quoted(value)} is not accepted`,
        fix: `Give a whole number from 1 to ${most}`,
      });
  checkSignal(signalOf(o));
  const sequences = input === undefined ? [someTokens(s, maxTokens)] : await readInput(input, inputContext(s, o), true);
  if (sequences.length !== 1)
    throw new ArgumentError({
      where: "m.profile",
      what: `${sequences.length} sequences cannot be continued at once`,
      fix: "Profile one of them",
    });
  const once = (tokens: number, label: string, told: boolean) =>
    passed(s, edits, sequences, tokens, o, `profiling ${s.facts.name}: ${label}`, told);
  await once(1, "warming up", false);
  const runs: Measured[] = [];
  for (let i = 0; i < repeat; i++) {
    const { prefillMs, decodeMs, profile } = await once(maxTokens, `run ${i + 1} of ${repeat}`, true);
    if (!profile) throw new InternalError({ where: "m.profile", what: "the engine told no times" });
    runs.push({ prefillMs, decodeMs, profile });
  }
  runs.sort((a, b) => a.prefillMs + a.decodeMs - b.prefillMs - b.decodeMs);
  return resultOf(s, runs[(runs.length - 1) >> 1], Math.max(...runs.map((r) => r.profile.limit)), repeat, {
    prefill: sequences[0].ids.length,
    decode: maxTokens,
  });
}

type Measured = Pick<GenerateResult, "prefillMs" | "decodeMs"> & { profile: NonNullable<GenerateResult["profile"]> };

/** The same tokens for every model of this vocabulary, so that figures can be compared. */
function someTokens(s: Shared, maxTokens: number): Sequence {
  const next = random(1);
  const n = Math.max(1, Math.min(DEFAULT_TOKENS, s.config.context - maxTokens));
  const ids = Array.from({ length: n }, () => Math.floor(next() * s.config.vocab));
  return { ids, roles: ids.map(() => "") };
}

/** One run, told of or not, with the captures of a plain `m.run`: the routing, by which the experts that were read are known. */
async function passed(
  s: Shared,
  edits: readonly Edit[],
  sequences: readonly Sequence[],
  maxTokens: number,
  o: ProfileOptions,
  label: string,
  told: boolean,
): Promise<GenerateResult> {
  const cost = costOf(s, sequences, maxTokens, undefined);
  const prompt = promptRows(sequences, passContext(s));
  const spec: GenerateSpec = {
    ...forwardSpec(prompt, { sequences, groups: [null], captures: cost.captures, edits }, s.facts),
    maxTokens,
    temperature: 0,
    topP: 1,
    topK: 0,
    seed: 0,
    stopIds: new Int32Array(0),
    profile: told,
  };
  const state = await stateFor(s, sequences, cost);
  try {
    const task = start(() => state.generate(spec));
    const result = await s.handle.track(task, () => finish(task, o, label));
    result.release();
    if (result.reason === "cancel") throw new CancelledError();
    return result;
  } finally {
    state.release();
  }
}

function resultOf(
  s: Shared,
  run: Measured,
  limit: number,
  repeat: number,
  tokens: { prefill: number; decode: number },
): Profile {
  const verbs = run.profile.rows;
  const phase = (name: "prefill" | "decode", ms: number) =>
    phaseTime(
      tokens[name],
      ms,
      verbs.filter((v) => v.phase === name).reduce((sum, v) => sum + v.ms, 0),
    );
  return new Profile({
    model: s.facts.name,
    weights: s.facts.weights,
    device: s.device,
    repeat,
    limit,
    prefill: phase("prefill", run.prefillMs),
    decode: phase("decode", run.decodeMs),
    verbs,
  });
}
