// Child processes: `run` shows their output, `read` returns it, `works` only asks.
import { spawn, spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Missing } from "./say.mjs";

export const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** Exit code of a command whose output goes to our own stdout and stderr. A signal counts as 128. */
export function run(command, args, options = {}) {
  return new Promise((done, fail) => {
    const child = spawn(command, args, { cwd: root, stdio: "inherit", ...options });
    // Ctrl-C reaches the whole group; the child decides, we wait for it.
    const ignore = () => {};
    process.on("SIGINT", ignore);
    child.on("error", fail);
    child.on("close", (code) => {
      process.off("SIGINT", ignore);
      done(code ?? 128);
    });
  });
}

/** Like `run`, but a failure ends the script with the step's name. */
export async function must(step, command, args, options) {
  const code = await run(command, args, options);
  if (code !== 0) throw new Missing(`${step} failed (exit code ${code}); its output is above.`);
}

export function read(command, args, options = {}) {
  const { status, stdout } = spawnSync(command, args, { cwd: root, encoding: "utf8", ...options });
  return status === 0 ? stdout.trim() : null;
}

export const works = (command, args, options) =>
  read(command, args, { stdio: ["ignore", "pipe", "ignore"], ...options }) !== null;

/** Full path of a program on PATH, or null. */
export function which(name) {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {}
  }
  return null;
}
