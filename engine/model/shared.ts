import { quoted } from "../check.ts";
import type { Config } from "../checkpoint/config.ts";
import { type GenerationDefaults, readCheckpoint } from "../checkpoint/folder.ts";
import { locate } from "../checkpoint/locate.ts";
import { ArgumentError, fromNative } from "../errors.ts";
import type { LoadSpec } from "../native.ts";
import type { ModelFacts } from "../run/captured.ts";
import { Tokenizer } from "../text/tokenizer.ts";
import { native } from "./addon.ts";
import { modelFacts, nativeConfig, type WeightFormat } from "./facts.ts";
import { Handle } from "./handle.ts";
import { Layer } from "./layer.ts";
import { configOf, type LoadOptions, type Ready, readOptions } from "./options.ts";
import { kvElement, refuseMemory, weightParts } from "./plan.ts";
import { orReclaim } from "./reclaim.ts";
import { checkSignal, finish, reporter, signalOf } from "./task.ts";

/** What a model and its views share. */
export interface Shared {
  readonly handle: Handle;
  readonly device: "cpu" | "cuda";
  /** Bytes of a number in keys and values. */
  readonly kvElement: number;
  readonly config: Config;
  readonly facts: ModelFacts;
  readonly tokenizer: Tokenizer | null;
  readonly chatTemplate: string | null;
  readonly generation: GenerationDefaults;
  readonly warnings: readonly string[];
  readonly layers: readonly Layer[];
}

export interface RandomOptions extends LoadOptions {
  /** Default 0. */
  readonly seed?: number;
  /** Of the matrices. Default 0.02. Norms are 1. */
  readonly std?: number;
}

type About = Omit<Shared, "handle" | "device" | "kvElement" | "facts" | "layers"> & { readonly name: string };

export async function openFolder(name: string, o: LoadOptions): Promise<Shared> {
  const how = readOptions(o);
  checkSignal(signalOf(o));
  const report = reporter(o, `reading ${name}`);
  const c = await readCheckpoint(locate(name), (done, total) => total > 4 && report(done, total));
  const format = how.weights ?? (c.weights.some((w) => w.dtype !== "BF16") ? "f32" : "bf16");
  const about: About = {
    name: c.name,
    config: c.config,
    tokenizer: c.tokenizer ? new Tokenizer(c.tokenizer, c.tokenizerConfig, `${c.folder}/tokenizer.json`) : null,
    chatTemplate: c.chatTemplate,
    generation: c.generation,
    warnings: c.notes,
  };
  return open(about, format, how, o, { files: c.files, weights: c.weights });
}

export async function openRandom(like: string | object, o: RandomOptions): Promise<Shared> {
  const how = readOptions(o);
  const { seed = 0, std = 0.02 } = o;
  const fail = (what: string, fix: string): never => {
    throw new ArgumentError({ where: "Model.random", what, fix });
  };
  if (!Number.isSafeInteger(seed) || seed < 0) fail(`${quoted(seed)} is not a seed`, "Give a whole number from 0");
  if (!(Number.isFinite(std) && std >= 0)) fail(`${quoted(std)} is not a standard deviation`, "Give 0.02 or the like");
  const { config, name } = configOf(like);
  const format = how.weights ?? "bf16";
  await orReclaim(() =>
    refuseMemory(
      `Model.random("${name}")`,
      weightParts(config, format, how.device),
      'Use { weights: "int4" } or a smaller config; Model.plan shows the parts',
    ),
  );
  const about: About = {
    name: `${name} (random)`,
    config,
    tokenizer: null,
    chatTemplate: null,
    generation: { eos: config.eos },
    warnings: [],
  };
  return open(about, format, how, o, { files: [], weights: [], random: { seed, std } });
}

async function open(
  about: About,
  format: WeightFormat,
  how: Ready,
  o: LoadOptions,
  source: Pick<LoadSpec, "files" | "weights" | "random">,
): Promise<Shared> {
  const { config, name, ...rest } = about;
  const spec: LoadSpec = {
    config: nativeConfig(config, how.rope),
    ...source,
    format,
    device: how.device,
    math: how.math,
    threads: how.threads,
  };
  const handle = new Handle(
    await orReclaim(() =>
      finish(
        start(() => native().load(spec)),
        o,
        `loading ${name}`,
      ),
    ),
  );
  const bad = handle.model
    .nonFinite()
    .map((n) => `${n.slot}: ${n.count} weights are NaN or infinite, and so will be what passes them`);
  return {
    ...rest,
    device: how.device,
    kvElement: kvElement(how.device, format, how.math),
    handle,
    config,
    facts: modelFacts(config, name, format, how.rope),
    warnings: [...about.warnings, ...(how.note ? [how.note] : []), ...bad],
    layers: config.layerFacts.map((l) => new Layer(handle, config, l)),
  };
}

/** Calls of the addon that may throw at once. */
export function start<T>(begin: () => T): T {
  try {
    return begin();
  } catch (e) {
    throw fromNative(e);
  }
}
