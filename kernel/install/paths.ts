/** Where this package is, where it may write, and where Jupyter looks. */
import { accessSync, constants, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** The package's folder. This file runs as `dist/kernel/install/paths.js`. */
export const packageRoot = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");

export const binary = join(packageRoot, "bin/moescope.mjs");

/** What Jupyter starts: the kernel alone, past the program's door. */
export const kernelBundle = join(packageRoot, "dist/kernel/bundle/kernel.cjs");

/** The compiled JupyterLab plugin, as a folder that goes into `labextensions/`. */
export const labExtension = join(packageRoot, "dist/kernel/lab");

export function packageVersion(): string {
  return JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8")).version;
}

/** In a clone everything of ours stays inside it. An installed package may be read-only and shared: there it is the user's cache. */
function ownFolder(inPackage: string, inCache: string): string {
  if (!packageRoot.includes(`${sep}node_modules${sep}`)) {
    try {
      accessSync(packageRoot, constants.W_OK);
      return join(packageRoot, inPackage);
    } catch {}
  }
  return join(userCache(), inCache);
}

/** Kernelspec, plugin, settings and run-time files of the JupyterLab that `moescope lab` starts. */
export const jupyterFolder = (): string => ownFolder(".jupyter", "jupyter");

/** The private Python environment with JupyterLab. */
export const venvFolder = (): string => ownFolder(".venv", "venv");

/** What was typed, in all front ends. A user who says where caches go is obeyed. */
export const historyFile = (): string =>
  join(process.env["XDG_CACHE_HOME"] ? userCache() : ownFolder(".cache", "."), "history.jsonl");

function userCache(): string {
  if (process.env["XDG_CACHE_HOME"]) return join(process.env["XDG_CACHE_HOME"], "moescope");
  if (process.platform === "darwin") return join(homedir(), "Library/Caches/moescope");
  if (process.platform === "win32")
    return join(process.env["LOCALAPPDATA"] ?? join(homedir(), "AppData/Local"), "moescope");
  return join(homedir(), ".cache/moescope");
}

/** Jupyter's own data folder of this user, as jupyter_core decides it. */
export function userDataFolder(): string {
  if (process.env["JUPYTER_DATA_DIR"]) return process.env["JUPYTER_DATA_DIR"];
  if (process.platform === "darwin") return join(homedir(), "Library/Jupyter");
  if (process.platform === "win32")
    return join(process.env["APPDATA"] ?? join(homedir(), "AppData/Roaming"), "jupyter");
  return join(process.env["XDG_DATA_HOME"] || join(homedir(), ".local/share"), "jupyter");
}
