/** The engine below the public objects, for what they do not offer: tilings, resumed states, positions that no run reaches. */
import { readConfig } from "../../engine/checkpoint/config.ts";
import { readCheckpoint } from "../../engine/checkpoint/folder.ts";
import { native } from "../../engine/model/addon.ts";
import { nativeConfig, type RopeMode } from "../../engine/model/facts.ts";
import type { NativeModel } from "../../engine/native.ts";
import type { Config } from "./checkpoint.ts";

/** A folder's model in f32. The caller releases it. */
export async function openNative(
  folder: string,
  o: { math: "exact" | "fast"; threads?: number },
): Promise<{ model: NativeModel; vocab: number }> {
  const { config, files, weights } = await readCheckpoint(folder);
  const task = native().load({
    config: nativeConfig(config, "hf"),
    files: [...files],
    weights: [...weights],
    format: "f32",
    math: o.math,
    threads: o.threads ?? 0,
  });
  return { model: await task.done, vocab: config.vocab };
}

export const positional = (config: Config, rope: RopeMode, positions: Int32Array) =>
  native().positional(nativeConfig(readConfig(config, "config.json"), rope), positions);
