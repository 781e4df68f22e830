/** Other programs: found, asked, run. */
import { spawn, spawnSync } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Full path of a program on PATH, or null. */
export function which(name: string, path = process.env["PATH"] ?? ""): string | null {
  const names = process.platform === "win32" ? [`${name}.exe`, `${name}.cmd`] : [name];
  for (const folder of path.split(delimiter)) {
    for (const file of names) {
      try {
        const path = join(folder, file);
        accessSync(path, constants.X_OK);
        // A folder is "executable", too.
        if (statSync(path).isFile()) return path;
      } catch {}
    }
  }
  return null;
}

/** What a program prints, or null when it fails, is missing, or takes longer than `limit` ms. */
export function ask(command: string, args: string[], limit = 20_000): string | null {
  const { status, stdout } = spawnSync(command, args, {
    encoding: "utf8",
    timeout: limit,
    stdio: ["ignore", "pipe", "ignore"],
  });
  return status === 0 ? stdout.trim() : null;
}

/** Runs a program; its output goes to our stderr, since stdout belongs to results. Rejects when it fails. */
export function must(step: string, command: string, args: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", 2, 2] });
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve() : reject(new Error(`${step} failed (exit code ${code})`))));
  });
}
