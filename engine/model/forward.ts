import { compileEdits, forcedBy } from "../edits/compile.ts";
import type { Edit } from "../edits/edit.ts";
import type { PromptRows } from "../edits/rows.ts";
import { CancelledError, InternalError } from "../errors.ts";
import type { ForwardResult, ForwardSpec, GenerateResult } from "../native.ts";
import { siteCaptures } from "../run/assemble.ts";
import type { Captured, ModelFacts, RunMeta, TokenRows } from "../run/captured.ts";
import type { PlannedCapture } from "../sites/capture.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { kindOf, type Sequence } from "./input.ts";

/** What a pass is made from. */
export interface Pass {
  readonly sequences: readonly Sequence[];
  readonly groups: readonly (string | null)[];
  readonly captures: readonly PlannedCapture[];
  readonly edits: readonly Edit[];
}

/** What of the model a pass needs. */
export interface PassContext {
  readonly facts: ModelFacts;
  readonly tokenizer: Tokenizer | null;
  readonly bos: number | null;
  readonly engine: string;
}

export function promptRows(sequences: readonly Sequence[], c: PassContext): PromptRows {
  const lengths = sequences.map((s) => s.ids.length);
  const rows = lengths.reduce((a, b) => a + b, 0);
  const ids = new Int32Array(rows);
  const seq = new Int32Array(rows);
  const pos = new Int32Array(rows);
  let t = 0;
  sequences.forEach((s, i) => {
    s.ids.forEach((id, p) => {
      ids[t] = id;
      seq[t] = i;
      pos[t++] = p;
    });
  });
  const text = tokenTexts(c);
  return {
    ids,
    seq,
    pos,
    lengths,
    text: (row) => text(ids[row]),
    idsOf: (wanted) => c.tokenizer?.idsOf(wanted) ?? [],
    texts: () => Array.from(new Set(ids), text),
  };
}

export function forwardSpec(prompt: PromptRows, pass: Pass, facts: ModelFacts): ForwardSpec {
  return {
    batch: { ids: prompt.ids, lengths: Int32Array.from(prompt.lengths) },
    captures: pass.captures.map((c) => c.spec),
    edits: compileEdits(pass.edits, facts, prompt),
  };
}

/** Without a tokenizer, tokens show as their ids. */
export const tokenTexts = (c: PassContext): ((id: number) => string) => c.tokenizer?.text ?? ((id) => `⟨${id}⟩`);

const encoder = new TextEncoder();
export const tokenBytesOf = (c: PassContext): ((id: number) => Uint8Array) => {
  const { tokenizer } = c;
  return tokenizer ? (id) => tokenizer.bytes(id) : (id) => encoder.encode(`⟨${id}⟩`);
};

/** Everything that the pass left, as plain data. Arrays of the engine are not copied. */
export function assemble(
  result: ForwardResult | GenerateResult,
  prompt: PromptRows,
  pass: Pass,
  c: PassContext,
  seed: number,
): Captured {
  const generated = "ids" in result ? result.ids : new Int32Array(0);
  const promptLength = prompt.ids.length;
  const rows = promptLength + generated.length;
  if (result.logprob.length < promptLength) throw new CancelledError();
  if (result.logprob.length !== rows)
    throw new InternalError({ where: "forward", what: `${result.logprob.length} rows came back for ${rows} tokens` });
  const tokens = tokenRows(result, generated, prompt, pass, c);
  return {
    facts: c.facts,
    tokens,
    sequences: pass.sequences.length,
    captures: siteCaptures(
      result.captures,
      pass.captures.map((p) => p.spec),
      c.facts,
    ),
    last: result.last,
    tokenText: tokenTexts(c),
    tokenBytes: tokenBytesOf(c),
    edits: pass.edits,
    forced: forcedBy(
      pass.edits,
      c.facts,
      { ...prompt, ids: tokens.ids, seq: tokens.seq, pos: tokens.pos },
      tokens.step,
    ),
    meta: metaOf(result, generated.length, c, seed),
  };
}

function tokenRows(
  result: ForwardResult,
  generated: Int32Array,
  prompt: PromptRows,
  pass: Pass,
  c: PassContext,
): TokenRows {
  const n = prompt.ids.length + generated.length;
  const longer = (of: Int32Array, more: (i: number) => number): Int32Array => {
    const out = new Int32Array(n);
    out.set(of);
    for (let i = of.length; i < n; i++) out[i] = more(i - of.length);
    return out;
  };
  const ids = longer(prompt.ids, (i) => generated[i]);
  const text = tokenTexts(c);
  const roles = pass.sequences.flatMap((s) => s.roles);
  const answering = roles.some((r) => r !== "") ? "assistant" : "";
  return {
    length: n,
    ids,
    seq: longer(prompt.seq, () => 0),
    pos: longer(prompt.pos, (i) => prompt.ids.length + i),
    step: Int32Array.from({ length: n }, (_, t) => (t < prompt.ids.length ? -1 : t - prompt.ids.length)),
    text: Array.from(ids, text),
    kind: Array.from(ids, (id) => kindOf(id, c.bos, c.tokenizer)),
    role: Array.from({ length: n }, (_, t) => (t < roles.length ? roles[t] : answering)),
    group: pass.groups,
    logprob: result.logprob,
    predEntropy: result.predEntropy,
    rank: result.rank,
  };
}

function metaOf(result: ForwardResult | GenerateResult, made: number, c: PassContext, seed: number): RunMeta {
  return {
    model: c.facts.name,
    weights: c.facts.weights,
    engine: c.engine,
    seed,
    prefillMs: result.prefillMs,
    decodeMs: result.decodeMs,
    tokensPerSecond: made > 0 && result.decodeMs > 0 ? (1000 * made) / result.decodeMs : 0,
    reason: "reason" in result ? result.reason : null,
    reply: null,
  };
}
