import { options, quoted } from "../check.ts";
import { type Config, readConfig } from "../checkpoint/config.ts";
import { readConfigFile } from "../checkpoint/folder.ts";
import { locate } from "../checkpoint/locate.ts";
import { PRESETS } from "../checkpoint/presets.ts";
import { AFTER_LOSS, ArgumentError, DeviceError, didYouMean } from "../errors.ts";
import { hasNative, native } from "./addon.ts";
import type { RopeMode, WeightFormat, WeightName } from "./facts.ts";
import type { Long } from "./task.ts";

export interface WeightOptions {
  /**
   * How weights are kept. Default: as in the checkpoint, bf16 (f16 and f32 checkpoints: f32). `"int4"`: 4 bits and a scale for each
   * group of neighbours in a row, rounded to nearest while loading; router and norms stay f32, the embedding bf16.
   */
  readonly weights?: WeightName | (string & {});
  /** Of int4: how many neighbours share a scale, 32 (default, the smallest error), 64 or 128 (reads 8 % fewer bytes). */
  readonly group?: 32 | 64 | 128 | (number & {});
}

export interface LoadOptions extends Long, WeightOptions {
  /** `"auto"` (default): the GPU where CUDA answers and `math` is not "exact", else the CPU (`m.warnings` says so when the GPU was lost). */
  readonly device?: "auto" | "cpu" | "cuda" | (string & {});
  /** `"hf"`: Hugging Face's very angles (default). `"accurate"`: positions within the chunk, in doubles. */
  readonly rope?: RopeMode | (string & {});
  /** Default: the physical cores. */
  readonly threads?: number;
  /** `"fast"`: SIMD and threads (default). `"exact"`: straight-line f32, the oracle. */
  readonly math?: "fast" | "exact" | (string & {});
}

/** Options that were checked. */
export interface Ready {
  readonly weights: WeightFormat | null;
  readonly rope: RopeMode;
  readonly device: "cpu" | "cuda";
  readonly threads: number;
  readonly math: "fast" | "exact";
  /** What a reader should know of the choice of the device. */
  readonly note: string | null;
}

function oneOf<T extends string>(name: string, value: string | undefined, known: readonly T[], fallback: T): T {
  if (value === undefined) return fallback;
  if ((known as readonly string[]).includes(value)) return value as T;
  throw new ArgumentError({
    where: `option ${name}`,
    what: `${quoted(value)} is not known${didYouMean(value, known)}`,
    fix: `There are ${known.map((k) => `"${k}"`).join(", ")}`,
  });
}

const GROUPS: readonly number[] = [32, 64, 128];

export function weightFormat({ weights, group }: WeightOptions): WeightFormat | null {
  if (weights === "fp8" || weights === "int4-meta")
    throw new ArgumentError({
      where: "option weights",
      what: `"${weights}" is not built yet`,
      fix: 'There are "bf16", "f32" and "int4"',
    });
  const name = weights === undefined ? null : oneOf<WeightName>("weights", weights, ["bf16", "f32", "int4"], "bf16");
  if (group !== undefined && name !== "int4")
    throw new ArgumentError({
      where: "option group",
      what: `${name ? `${name} weights have` : "the checkpoint's own format has"} no groups`,
      fix: 'Leave it out, or ask for { weights: "int4" }',
    });
  if (group !== undefined && !GROUPS.includes(group))
    throw new ArgumentError({
      where: "option group",
      what: `${quoted(group)} is not a size that groups come in`,
      fix: "Give 32, 64 or 128",
    });
  return name === "int4" ? (`int4_${group ?? 32}` as WeightFormat) : name;
}

export function readOptions(o: LoadOptions): Ready {
  options(o, "Model");
  const math = oneOf("math", o.math, ["fast", "exact"], "fast");
  const device = readDevice(o.device, math);
  const threads = o.threads ?? 0;
  if (!Number.isInteger(threads) || threads < 0 || threads > 1024)
    throw new ArgumentError({
      where: "option threads",
      what: `${quoted(threads)} is not a number of threads`,
      fix: "Give 1 to 1024, or leave it out",
    });
  return {
    device,
    weights: weightFormat(o),
    rope: oneOf("rope", o.rope, ["hf", "accurate"], "hf"),
    threads,
    math,
    note: device === "cpu" && o.device !== "cpu" && math !== "exact" ? lossNote() : null,
  };
}

/** Where a wish for a device leads on this machine. */
export const readDevice = (wish: string | undefined, math: "fast" | "exact" = "fast"): "cpu" | "cuda" =>
  deviceOf(oneOf("device", wish, ["auto", "cpu", "cuda"], "auto"), math);

function lossNote(): string | null {
  if (!hasNative()) return null;
  const { state, text } = native().cuda();
  return state === "lost" ? `it computes on the CPU, since the GPU is gone for this process: ${text}` : null;
}

function deviceOf(wish: "auto" | "cpu" | "cuda", math: "fast" | "exact"): "cpu" | "cuda" {
  if (wish === "cpu" || (wish === "auto" && (math === "exact" || !hasNative()))) return "cpu";
  const { state, text } = native().cuda();
  if (wish === "auto") return state === "ready" ? "cuda" : "cpu";
  if (state !== "ready")
    throw new DeviceError({
      where: 'option device "cuda"',
      what: text,
      fix: state === "lost" ? AFTER_LOSS : 'Use { device: "cpu" } or "auto"; `moescope doctor` says what is here',
    });
  return "cuda";
}

/** The config that a preset, a folder, a shipped name or an object means. */
export function configOf(like: string | object): { config: Config; name: string } {
  if (typeof like !== "string") return { config: readConfig(like, "config"), name: "config" };
  if (Object.hasOwn(PRESETS, like)) return { config: readConfig(PRESETS[like], `preset "${like}"`), name: like };
  return { config: readConfigFile(locate(like)), name: like };
}
