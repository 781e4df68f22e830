import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { packageRoot } from "../checkpoint/locate.ts";
import { DeviceError } from "../errors.ts";
import type { Native } from "../native.ts";

let loaded: Native | null = null;

/** The native engine, opened when first needed: traces, plans and plots work without it. */
export function native(): Native {
  if (loaded) return loaded;
  const path = addonPath();
  if (!existsSync(path))
    throw new DeviceError({ where: path, what: "the native engine is not built", fix: "Run: npm run build" });
  try {
    loaded = createRequire(import.meta.url)(path) as Native;
  } catch (e) {
    throw new DeviceError({
      where: path,
      what: `the native engine cannot be opened (${(e as Error).message})`,
      fix: "Build it for this machine: npm run build",
      cause: e,
    });
  }
  return loaded;
}

export const addonPath = (): string => join(packageRoot(), "build", "native", "moescope.node");

/** Is there one? (Asked where it is optional.) */
export const hasNative = (): boolean => loaded !== null || existsSync(addonPath());
