import { filePath, fromEnd, options, quoted } from "../check.ts";
import { loadStrip } from "../display/load-strip.ts";
import { shows } from "../display/show.ts";
import type { Edit } from "../edits/edit.ts";
import { ArgumentError, CaptureError, didYouMean, ReleasedError } from "../errors.ts";
import { type RunMetrics, runMetrics } from "../metrics/run-metrics.ts";
import { type RunPlots, runPlots } from "../plots/run-plots.ts";
import { toSite } from "../sites/parse.ts";
import type { Site } from "../sites/site.ts";
import { type Attention, attentionTable } from "../tables/attention.ts";
import { type AttnTemperature, attnTemperatureTable } from "../tables/attn-temperature.ts";
import { expertLoad, type LoadTable } from "../tables/expert-load.ts";
import { type Next, nextTable } from "../tables/next.ts";
import { type RouterRow, routerTable } from "../tables/router.ts";
import { type Routing, routingTable } from "../tables/routing.ts";
import type { Table } from "../tables/table.ts";
import { type Tokens, tokensTable } from "../tables/tokens.ts";
import { type TokenOf, tokensOf, type Vocab, vocabulary } from "../tables/tokens-of.ts";
import type { Tensor } from "../tensors/tensor.ts";
import { openTrace } from "../trace/open.ts";
import { saveTrace } from "../trace/save.ts";
import { type Captured, captureKey, type RunMeta } from "./captured.ts";
import { Diff } from "./diff.ts";
import { partOf } from "./part.ts";
import { readSite } from "./read.ts";
import { runText } from "./text.ts";

/** What a run needs besides its data. */
export interface RunParts {
  /** What was passed to `m.run`. */
  readonly input?: unknown;
  /** Ids of a text; absent in a trace of a model without tokenizer. */
  readonly encode?: (text: string) => number[];
  /** Gives the engine's buffers back. */
  readonly release?: () => void;
}

/**
 * What a forward pass left behind: token rows, routing, and every site that was captured. Everything is read without `await`, and the same
 * way after `Run.open`.
 *
 * ```ts
 * const r = await m.run("The capital of France is", { capture: "residual" });
 * r.routing.where({ layer: 3 }); r.get(at.layer(3).resid.post); r.next.head(5)
 * ```
 */
export class Run implements Disposable {
  readonly #data: Captured;
  readonly #parts: RunParts;
  readonly #tensors: Set<WeakRef<Tensor<any>>>;
  readonly #state: { disposed: boolean };
  readonly #tables = new Map<string, unknown>();

  /** @internal */
  constructor(data: Captured, parts: RunParts = {}, parent?: Run) {
    this.#data = data;
    this.#parts = parts;
    this.#tensors = parent ? parent.#tensors : new Set();
    this.#state = parent ? parent.#state : { disposed: false };
  }

  /** @internal The plain data behind tables, metrics and plots. */
  get captured(): Captured {
    if (this.#state.disposed)
      throw new ReleasedError({
        where: "run",
        what: "this run was disposed",
        fix: "Run the model again, or dispose the run later",
      });
    return this.#data;
  }

  /**
   * A captured site as a tensor, f32. One layer's is the engine's own memory, not a copy; several layers are stacked along `layer`.
   *
   * Errors: `CaptureError` when the run did not capture it, saying what to add; `SiteError` for a name or layer that is not there.
   */
  get<A extends string>(site: Site<A>): Tensor<A>;
  get(site: string): Tensor<any>;
  get(site: Site<any> | string): Tensor<any> {
    const tensor = readSite(this.captured, toSite(site));
    this.#tensors.add(new WeakRef(tensor));
    return tensor;
  }

  /** One row a token. */
  get tokens(): Table<Tokens> {
    return this.#table("tokens", tokensTable);
  }

  /** One row a decision: token, layer, slot. */
  get routing(): Table<Routing> {
    return this.#table("routing", routingTable);
  }

  /** One row a token, layer and expert. */
  get router(): Table<RouterRow> {
    return this.#table("router", routerTable);
  }

  /** How often each expert was chosen; `.by("kind")` groups by a column of `tokens`. */
  get expertLoad(): LoadTable {
    return this.#table("expertLoad", expertLoad);
  }

  /** One row a token, layer and head. Needs `{ capture: "attention" }`. */
  get attention(): Table<Attention> {
    return this.#table("attention", attentionTable);
  }

  /** The factor on q by position, in the layers without position encoding. */
  get attnTemperature(): Table<AttnTemperature> {
    return this.#table("attnTemperature", attnTemperatureTable);
  }

  /** What the model expects after the last token, likeliest first. Of a batch: `r.seq(i).next`. */
  get next(): Table<Next> {
    return this.#table("next", (c) => nextTable({ ...c, last: this.#prediction(0, c.last) }));
  }

  /** Pictures; each shows itself when it ends a cell. */
  get plot(): RunPlots {
    return runPlots(this.captured);
  }

  /** Numbers with interval, baseline, formula and source. */
  get metrics(): RunMetrics {
    return runMetrics(this.captured);
  }

  /** The whole text, prompt and what was generated, with control tokens but without the first BOS. */
  get text(): string {
    return runText(this.captured, (t) => !(this.#data.tokens.kind[t] === "bos" && this.#data.tokens.pos[t] === 0));
  }

  /** What was generated, without control tokens. */
  get reply(): string {
    const { meta, tokens } = this.captured;
    if (meta.reply !== null) return meta.reply;
    const { step, kind } = tokens;
    return runText(this.captured, (t) => step[t] >= 0 && kind[t] === "text");
  }

  /** Mean of −log probability over the tokens that were predicted, in nats. */
  get loss(): number {
    let sum = 0;
    let n = 0;
    for (const v of this.captured.tokens.logprob) {
      if (Number.isNaN(v)) continue;
      sum -= v;
      n++;
    }
    return n === 0 ? Number.NaN : sum / n;
  }

  /**
   * The logit of a token as what comes after row `t` (default: the last; other rows need `at.logits` captured).
   *
   * Errors: `ArgumentError` when the text is not one token, naming those it is.
   */
  logit(token: string | number, o: { readonly t?: number } = {}): number {
    return this.#logits(o.t)[this.#tokenId(token)];
  }

  /** The probability, likewise. */
  prob(token: string | number, o: { readonly t?: number } = {}): number {
    const logits = this.#logits(o.t);
    const top = logits.reduce((a, b) => Math.max(a, b), -Infinity);
    const z = logits.reduce((sum, v) => sum + Math.exp(v - top), 0);
    return Math.exp(logits[this.#tokenId(token)] - top) / z;
  }

  /** The tokens that an expert got, with the text around them. */
  tokensOf(o: { readonly layer: number; readonly expert: number }): Table<TokenOf> {
    return tokensOf(this.captured, o);
  }

  /** The token ids that an expert got, by count. */
  vocabulary(o: { readonly layer: number; readonly expert: number }): Table<Vocab> {
    return vocabulary(this.captured, o);
  }

  /** One sequence of a batch. Shares memory with the whole. */
  seq(i: number): Run {
    const data = this.captured;
    if (!Number.isInteger(i) || i < 0 || i >= data.sequences)
      throw new ArgumentError({
        where: "run.seq",
        what: `there is no sequence ${quoted(i)}`,
        fix: `The run has ${data.sequences}, counted from 0`,
      });
    const from = data.tokens.seq.indexOf(i);
    const end = data.tokens.seq.lastIndexOf(i) + 1;
    return new Run(partOf(data, from, end, [i]), { encode: this.#parts.encode, release: this.#parts.release }, this);
  }

  /** What was passed to `m.run`; of a trace, the token ids. */
  get input(): unknown {
    return this.#parts.input ?? { ids: Array.from(this.captured.tokens.ids) };
  }

  get edits(): readonly Edit[] {
    return this.captured.edits;
  }

  get meta(): RunMeta {
    return this.captured.meta;
  }

  /**
   * What is different in another run: positive `loss` means that the other is worse. Tokens are matched by place, or with
   * `{ align: "text" }` by the longest common run of tokens.
   */
  compare(other: Run, o: { readonly align?: "pos" | "text" } = {}): Diff {
    if (!(other instanceof Run))
      throw new ArgumentError({
        where: "run.compare",
        what: `${quoted(other)} is not a run`,
        fix: "Give what m.run or Run.open gave",
      });
    return new Diff(this.captured, other.captured, options(o, "run.compare").align ?? "pos");
  }

  /**
   * Writes the run to a folder of Arrow files, which `Run.open` reads without an engine.
   *
   * ```ts
   * await r.save("paris.trace"); const again = await Run.open("paris.trace");
   * ```
   */
  async save(path: string): Promise<void> {
    await saveTrace(this.captured, filePath(path, "run.save"));
  }

  /** Reads a run that `save` wrote. Errors: `TraceError`. */
  static async open(path: string): Promise<Run> {
    return new Run(await openTrace(filePath(path, "Run.open")));
  }

  /** Gives the memory back. Tensors that were read from this run can no longer be used. */
  dispose(): void {
    if (this.#state.disposed) return;
    this.#state.disposed = true;
    for (const ref of this.#tensors) ref.deref()?.dispose();
    this.#tensors.clear();
    this.#tables.clear();
    this.#parts.release?.();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #table<T>(name: string, make: (c: Captured) => T): T {
    const data = this.captured;
    let table = this.#tables.get(name) as T | undefined;
    if (!table) {
      table = make(data);
      this.#tables.set(name, table);
    }
    return table;
  }

  #logits(t: number | undefined): Float32Array {
    const data = this.captured;
    const { vocab } = data.facts;
    const rows = data.tokens.length;
    const row = t === undefined ? rows - 1 : fromEnd(t, rows);
    if (!Number.isInteger(row) || row < 0 || row >= rows)
      throw new ArgumentError({
        where: "run.logit",
        what: `there is no token row ${quoted(t)}`,
        fix: `The run has ${rows}, counted from 0`,
      });
    if (t === undefined && data.sequences > 1)
      throw new ArgumentError({
        where: "run.logit",
        what: `the run has ${data.sequences} sequences`,
        fix: "Take one, r.seq(0), or say which row with { t }",
      });
    const seq = data.tokens.seq[row];
    if (row === rows - 1 || data.tokens.seq[row + 1] !== seq) return data.last.subarray(seq * vocab, (seq + 1) * vocab);
    const capture = data.captures.get(captureKey("logits", -1));
    const at = capture ? capture.rows.indexOf(row) : -1;
    if (!capture || at < 0)
      throw new CaptureError({
        where: "run.logit",
        what: `the logits of row ${row} were not kept`,
        fix: "Run it with { capture: at.logits }; those of the last row are always there",
      });
    return capture.data.subarray(at * vocab, (at + 1) * vocab);
  }

  /** Logits from `at` on, when they were kept. */
  #prediction(at: number, last: Float32Array): Float32Array {
    if (!Number.isNaN(last[at])) return last.subarray(at);
    throw new CaptureError({
      where: "run.next",
      what: "a stop string ended the generation, and the prediction after its last token was not kept",
      fix: "Capture at.logits too",
    });
  }

  #tokenId(token: string | number): number {
    const { vocab } = this.#data.facts;
    if (typeof token === "number") {
      if (Number.isInteger(token) && token >= 0 && token < vocab) return token;
      throw new ArgumentError({
        where: "run.logit",
        what: `there is no token id ${quoted(token)}`,
        fix: `Ids are 0 to ${vocab - 1}`,
      });
    }
    if (typeof token !== "string")
      throw new ArgumentError({
        where: "run.logit",
        what: `${quoted(token)} is not a token`,
        fix: "Give its text or its id",
      });
    const ids = this.#parts.encode?.(token);
    if (ids?.length === 1) return ids[0];
    if (ids && ids.length > 1) {
      const list = ids.map((id) => `${JSON.stringify(this.#data.tokenText(id))} (${id})`);
      throw new ArgumentError({
        where: "run.logit",
        what: `${JSON.stringify(token)} is ${ids.length} tokens: ${list.join(", ")}`,
        fix: "Name one of them, or pass its id",
      });
    }
    for (let id = 0; id < vocab; id++) if (this.#data.tokenText(id) === token) return id;
    throw new ArgumentError({
      where: "run.logit",
      what: `no token is ${JSON.stringify(token)}${didYouMean(token, new Set(this.#data.tokens.text))}`,
      fix: "Pass a token id",
    });
  }

  static {
    shows(Run, { text: (r) => runSummary(r.captured) });
  }
}

function runSummary(c: Captured): string {
  const { tokens, meta, facts } = c;
  const made = tokens.step.reduce((n, s) => n + (s >= 0 ? 1 : 0), 0);
  const lines = [
    `Run · ${tokens.length} tokens${c.sequences > 1 ? ` in ${c.sequences} sequences` : ""}${made ? `, ${made} generated` : ""} · ${facts.name}, ${facts.weights}`,
  ];
  const text = tokens.text.slice(0, 40).join("");
  lines.push(`  ${JSON.stringify(text.length > 100 ? `${text.slice(0, 99)}…` : text)}`);
  for (const e of c.edits) lines.push(`  edit: ${e}`);
  const sites = new Map<string, number>();
  for (const s of c.captures.values()) sites.set(s.site, (sites.get(s.site) ?? 0) + 1);
  lines.push(`  captured: ${[...sites].map(([site, n]) => (n > 1 ? `${site} ×${n}` : site)).join(", ") || "nothing"}`);
  const load = loadStrip(c);
  if (load) lines.push(`  ${load}`);
  lines.push(
    `  prefill ${meta.prefillMs.toFixed(1)} ms${made ? `, decode ${meta.tokensPerSecond.toFixed(1)} tokens/s` : ""}`,
  );
  return lines.join("\n");
}
