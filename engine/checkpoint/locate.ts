import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { CheckpointError, didYouMean } from "../errors.ts";

/** The folder of this package: where `notebooks/models/` lies. */
export function packageRoot(): string {
  for (let at = dirname(fileURLToPath(import.meta.url)); ; at = dirname(at)) {
    const manifest = join(at, "package.json");
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).name === "moescope") return at;
    if (dirname(at) === at) return process.cwd();
  }
}

const isFolder = (path: string): boolean => {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
};

/** Names of the models that come with the package. */
export function shippedModels(root = packageRoot()): string[] {
  const at = join(root, "notebooks", "models");
  if (!isFolder(at)) return [];
  return readdirSync(at, { withFileTypes: true })
    .filter((e) => e.isDirectory() && existsSync(join(at, e.name, "config.json")))
    .map((e) => e.name);
}

/**
 * The folder of a model: a shipped name ("tiny-scout"), a path, or a hub id ("meta-llama/Llama-4-Scout-17B-16E") that lies in the local
 * Hugging Face cache (`HF_HUB_CACHE`, `HF_HOME`, `~/.cache/huggingface`). Nothing is downloaded.
 */
export function locate(name: string, env: Readonly<Record<string, string | undefined>> = process.env): string {
  if (name.trim() === "")
    throw new CheckpointError({
      where: "Model.load",
      what: "the name is empty",
      fix: 'Give a folder, or a shipped name such as "tiny-scout"',
    });
  const shipped = shippedModels();
  if (shipped.includes(name)) return join(packageRoot(), "notebooks", "models", name);
  const path = resolve(name.startsWith("~/") ? join(homedir(), name.slice(2)) : name);
  if (isFolder(path)) return path;
  if (existsSync(path))
    throw new CheckpointError({
      where: path,
      what: "this is a file, not a folder",
      fix: "Give the folder that holds config.json",
    });
  const cached = /^[\w.-]+\/[\w.-]+$/.test(name) ? snapshot(name, env) : null;
  if (cached) return cached;
  const hub = /^[\w.-]+\/[\w.-]+$/.test(name);
  throw new CheckpointError({
    where: name,
    what: `there is no such folder${didYouMean(name, shipped)}${hub ? `, nor is it in the Hugging Face cache (${hubCache(env)})` : ""}`,
    fix: hub
      ? `Download it first, for example with: hf download ${name}`
      : `Give a folder in Hugging Face layout, or a shipped name${shipped.length ? `: ${shipped.join(", ")}` : ""}`,
  });
}

function hubCache(env: Readonly<Record<string, string | undefined>>): string {
  if (env.HF_HUB_CACHE) return env.HF_HUB_CACHE;
  return join(env.HF_HOME ?? join(env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "huggingface"), "hub");
}

/** The snapshot that `refs/main` names, else the only one there is. */
function snapshot(id: string, env: Readonly<Record<string, string | undefined>>): string | null {
  const repo = join(hubCache(env), `models--${id.replace("/", "--")}`);
  const main = join(repo, "refs", "main");
  if (!existsSync(main)) return null;
  const at = join(repo, "snapshots", readFileSync(main, "utf8").trim());
  return isFolder(at) ? at : null;
}
