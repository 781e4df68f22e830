import { options, quoted, whole } from "../check.ts";
import type { Config } from "../checkpoint/config.ts";
import { shows } from "../display/show.ts";
import { Edit } from "../edits/edit.ts";
import { ArgumentError } from "../errors.ts";
import { type ModelPlots, modelPlots } from "../plots/run-plots.ts";
import type { Profile } from "../run/profile.ts";
import type { Run } from "../run/run.ts";
import { makeTensor, type Tensor } from "../tensors/tensor.ts";
import type { Message } from "../text/chat.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { native } from "./addon.ts";
import { captureBytes, costOf, forward, generate, inputContext, NOBODY } from "./compute.ts";
import { type GenerateOptions, type RunOptions, StepQueue, type Stream } from "./generate.ts";
import { type Input, readInput, readNow, type Sequence } from "./input.ts";
import type { Layer } from "./layer.ts";
import { Memory } from "./memory.ts";
import { configOf, type LoadOptions, readDevice, type WeightOptions, weightFormat } from "./options.ts";
import { freeBytes, kvElement, kvParts, Plan, weightParts } from "./plan.ts";
import { type ProfileOptions, profile } from "./profile.ts";
import { openFolder, openRandom, type RandomOptions, type Shared } from "./shared.ts";
import { modelBundle, modelText, type Shown } from "./show.ts";

/** `weights` is "bf16" when it is left out. */
export interface PlanOptions extends WeightOptions {
  /** Tokens a sequence. Default: what the model states, 8,192 at most. */
  readonly context?: number;
  /** Default 1. */
  readonly sequences?: number;
  /** Whose memory it is held against, as in `Model.load`. */
  readonly device?: LoadOptions["device"];
}

/**
 * A Llama 4 model, ready to compute. Weights are shared by its views (`with`). Everything that computes is a promise; what it leaves behind
 * is a `Run`, which is read without `await`.
 *
 * ```ts
 * const m = await Model.load("tiny-scout");
 * const r = await m.run("The capital of France is"); r.next.head(3)
 * ```
 */
export class Model implements Disposable {
  readonly #s: Shared;
  /** The edits of this view. */
  readonly edits: readonly Edit[];
  /** Where it computes. */
  readonly device: "cpu" | "cuda";

  /** @internal Use `Model.load` or `Model.random`. */
  constructor(shared: Shared, edits: readonly Edit[]) {
    this.#s = shared;
    this.device = shared.device;
    this.edits = Object.freeze([...edits]);
  }

  /**
   * Loads a model: a shipped name ("tiny-scout"), a folder in Hugging Face layout, or a hub id in the local cache. All files are
   * checked before a weight is read. `{ weights: "int4" }` rounds while loading; no file of another format is needed.
   *
   * Errors: `CheckpointError`, `ConfigError`, `ArchitectureError`, `MemoryError`, `DeviceError`, `CancelledError`.
   */
  static async load(name: string, o: LoadOptions = {}): Promise<Model> {
    if (typeof name !== "string")
      throw new ArgumentError({
        where: "Model.load",
        what: "the name is not a text",
        fix: "For a config object there is Model.random",
      });
    return new Model(await openFolder(name, o), []);
  }

  /**
   * A model of any shape with seeded random weights, N(0, std²), for measuring and testing: a preset ("scout", "maverick"), a name as in
   * `load`, or a config as in `config.json`. It has no tokenizer and takes token ids.
   *
   * ```ts
   * await Model.random({ ...m.config.hf, num_local_experts: 64 }, { seed: 1 })
   * ```
   */
  static async random(like: string | object, o: RandomOptions = {}): Promise<Model> {
    return new Model(await openRandom(like, o), []);
  }

  /**
   * Bytes by part before anything is loaded, as the CPU's SIMD path lays them out.
   *
   * ```ts
   * Model.plan("scout", { weights: "int4", context: 131072 })
   * ```
   */
  static plan(like: string | object, o: PlanOptions = {}): Plan {
    const { config, name } = configOf(like);
    const { context = Math.min(config.context, 8192), sequences = 1 } = options(o, "Model.plan");
    for (const [key, n] of Object.entries({ context, sequences })) whole(n, `Model.plan, ${key}`, 1);
    const device = readDevice(o.device);
    const format = weightFormat(o) ?? "bf16";
    const parts = [
      ...weightParts(config, format, device),
      ...kvParts(config, sequences, context, device, kvElement(device, format)),
    ];
    return new Plan(`${name}, context ${context}`, parts, freeBytes(device));
  }

  get name(): string {
    return this.#s.facts.name;
  }

  get config(): Config {
    return this.#s.config;
  }

  get layers(): readonly Layer[] {
    return this.#s.layers;
  }

  /** One layer, counted from 0: its kind and its weights. */
  layer(i: number): Layer {
    const layer = Number.isInteger(i) ? this.#s.layers[i] : undefined;
    if (layer) return layer;
    throw new ArgumentError({
      where: "m.layer",
      what: `there is no layer ${quoted(i)}`,
      fix: `The model has layers 0 to ${this.#s.layers.length - 1}`,
    });
  }

  /** Errors: `ArgumentError` when the checkpoint has none. */
  get tokenizer(): Tokenizer {
    if (this.#s.tokenizer) return this.#s.tokenizer;
    throw new ArgumentError({
      where: "m.tokenizer",
      what: "the checkpoint has no tokenizer.json",
      fix: "Pass token ids: m.run({ ids: [1, 5, 7] })",
    });
  }

  /** The checkpoint's Jinja template of conversations; null when it has none. */
  get chatTemplate(): string | null {
    return this.#s.chatTemplate;
  }

  /** Sampling that the checkpoint recommends, where it does: `m.chat(messages, { ...m.sampling, seed: 1 })`. The default is greedy. */
  get sampling(): { readonly temperature?: number; readonly topP?: number } {
    const { eos: _, ...sampling } = this.#s.generation;
    return sampling;
  }

  /** What a reader should know: weights that are not finite, parts that were not loaded. */
  get warnings(): readonly string[] {
    return this.#s.warnings;
  }

  /** Input embeddings, f32, read when touched. */
  get embed(): Tensor<"vocab d"> {
    return this.#matrix("embed");
  }

  /** The output matrix; the same as `embed` in a model with tied embeddings. */
  get unembed(): Tensor<"vocab d"> {
    return this.#matrix(this.#s.config.tied ? "embed" : "unembed");
  }

  /** Bytes by part, now. */
  get memory(): Memory {
    return new Memory(this.name, this.#s.handle.model.memory(), native(), this.device);
  }

  get plot(): ModelPlots {
    return modelPlots(this.#s.facts);
  }

  /**
   * One forward pass over an input: a text, `{ ids }`, `{ messages }`, or a run (its input again). Nothing is generated.
   *
   * Errors: `ArgumentError` for the input; `MemoryError` and `BudgetError`, refused before anything is allocated; `NonFiniteError`
   * naming the first site; `CancelledError`.
   */
  async run(input: Input, o: RunOptions = {}): Promise<Run> {
    this.#alive();
    const sequences = await readInput(input, inputContext(this.#s, o), false);
    return forward(
      this.#s,
      this.edits,
      sequences,
      sequences.map(() => null),
      input,
      o,
    );
  }

  /** Several inputs in one pass, each as if it were alone. Rows carry `seq` and `group`. */
  async batch<D extends Input>(
    inputs: Iterable<D>,
    o: RunOptions & { readonly group?: (input: D) => string } = {},
  ): Promise<Run> {
    this.#alive();
    const fail = (what: string): never => {
      throw new ArgumentError({ where: "m.batch", what, fix: "Give a list of texts" });
    };
    if (typeof inputs === "string" || typeof inputs?.[Symbol.iterator] !== "function") fail("this is not a list");
    const list = [...inputs];
    if (list.length === 0) fail("there are no inputs");
    const sequences: Sequence[] = [];
    const groups: (string | null)[] = [];
    for (const item of list) {
      for (const s of await readInput(item, inputContext(this.#s, o), false)) {
        sequences.push(s);
        groups.push(o.group ? String(o.group(item)) : null);
      }
    }
    return forward(this.#s, this.edits, sequences, groups, list, o);
  }

  /**
   * Continues an input. Greedy unless a temperature is given; ends at the checkpoint's end tokens, at `stop`, or after `maxTokens`.
   * The run holds prompt and continuation.
   *
   * ```ts
   * (await m.generate("Once upon a time", { maxTokens: 40, temperature: 0.6, topP: 0.9, seed: 1 })).reply
   * ```
   */
  async generate(input: Input, o: GenerateOptions = {}): Promise<Run> {
    this.#alive();
    return generate(this.#s, this.edits, input, o, NOBODY);
  }

  /** Answers a conversation through the checkpoint's own template: `(await m.chat([{ role: "user", content: "2+2?" }])).reply`. */
  async chat(messages: readonly Message[], o: GenerateOptions = {}): Promise<Run> {
    return this.generate({ messages }, o);
  }

  /**
   * `generate`, token by token. Leaving the loop ends it; `live.run` then holds what was made.
   *
   * ```ts
   * const live = m.stream("Once"); for await (const step of live) process.stdout.write(step.text); const r = await live.run;
   * ```
   */
  stream(input: Input, o: GenerateOptions = {}): Stream {
    const queue = new StepQueue();
    const begin = async (): Promise<Run> => {
      this.#alive();
      return generate(this.#s, this.edits, input, o, {
        onStep: (s) => queue.push(s),
        left: () => queue.left,
        onCancel: (fn) => queue.onLeave(fn),
      });
    };
    const run = begin();
    run.then(
      () => queue.end(),
      (e) => queue.end(e),
    );
    return { run, [Symbol.asyncIterator]: () => queue[Symbol.asyncIterator]() };
  }

  /** The model with these edits: a view that shares its weights. Edits that this view has already come first. */
  with(...edits: (Edit | readonly Edit[])[]): Model {
    const more = edits.flat() as Edit[];
    const wrong = more.find((e) => !(e instanceof Edit));
    if (wrong !== undefined)
      throw new ArgumentError({
        where: "m.with",
        what: `${quoted(wrong)} is not an edit`,
        fix: "Make edits with route, attn, or a site: route.ban(7)",
      });
    return new Model(this.#s, [...this.edits, ...more]);
  }

  /** Bytes of a run before it is made: weights as they lie, the KV cache, the captures. */
  plan(input: Input, o: RunOptions & { readonly maxTokens?: number } = {}): Plan {
    this.#alive();
    const { maxTokens = 0, capture } = options(o, "m.plan");
    const sequences = readNow(input, inputContext(this.#s, o));
    const cost = costOf(this.#s, sequences, whole(maxTokens, "m.plan, maxTokens", 0), capture);
    const resident = this.#s.handle.model.memory().filter((p) => p.part !== "kv" && p.place !== "pinned");
    const tokens = sequences.reduce((n, s) => n + s.ids.length, 0);
    const parts = [...resident, ...cost.kv, { part: "captures", place: "memory", bytes: captureBytes(cost) }];
    return new Plan(`${this.name}, ${tokens} tokens`, parts, freeBytes(this.device), resident);
  }

  /**
   * Where the time goes: reads an input (default: 512 seeded token ids), makes some tokens, and notes the time after each step of the
   * engine. Times in ms, `bytes` and `flops` from the shapes, beside the measured rate of memory.
   *
   * ```ts
   * const p = await m.profile("The capital of France is", { maxTokens: 32 });
   * p.plot.bars()          // p.table: a row a phase and verb; p.decode.tokensPerSecond
   * ```
   *
   * Errors: as `generate`.
   */
  async profile(input?: Input, o: ProfileOptions = {}): Promise<Profile> {
    this.#alive();
    return profile(this.#s, this.edits, input, o);
  }

  /** Frees the weights, for all views. What is running ends with `ReleasedError`. Runs stay readable. */
  dispose(): void {
    this.#s.handle.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Throws `ReleasedError` after `dispose`. */
  #alive(): void {
    void this.#s.handle.model;
  }

  #matrix(slot: string): Tensor<"vocab d"> {
    const { vocab, d } = this.#s.config;
    return makeTensor("vocab d", [vocab, d], () => this.#s.handle.weight(slot));
  }

  #shown(): Shown {
    const { facts, config, handle, warnings } = this.#s;
    const weights = handle.disposed ? null : this.memory.weights;
    return { facts, tied: config.tied, device: this.device, weights, edits: this.edits, warnings };
  }

  static {
    shows(Model, { text: (m) => modelText(m.#shown()), bundle: (m) => modelBundle(m.#shown()) });
  }
}
