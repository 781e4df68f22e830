// "Does nothing twice": a step is done when the stamp of its inputs is the one it left behind.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { root } from "./exec.mjs";

/** Files below the given paths, in order. */
export function filesOf(...paths) {
  const files = [];
  const walk = (path) => {
    if (!existsSync(path)) return;
    if (statSync(path).isDirectory()) {
      for (const name of readdirSync(path).sort()) {
        if (name !== "node_modules" && !name.startsWith(".") && name !== "__pycache__") walk(join(path, name));
      }
    } else files.push(path);
  };
  for (const path of paths) walk(join(root, path));
  return files;
}

const hash = (files, salt) => {
  const sum = createHash("sha256").update(salt);
  for (const file of files) sum.update(file).update(readFileSync(file));
  return sum.digest("hex");
};

/**
 * Runs `work` unless `stampFile` already holds the hash of `inputs` (paths from the root) and `salt`.
 * `output` must exist, too: a deleted result is made again.
 */
export async function once({ stampFile, inputs, salt = "", output }, work) {
  const path = join(root, stampFile);
  const now = hash(filesOf(...inputs), `${process.version} ${process.arch} ${salt}`);
  if (existsSync(path) && readFileSync(path, "utf8") === now && existsSync(join(root, output))) return false;
  await work();
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, now);
  return true;
}
