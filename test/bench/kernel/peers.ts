/** The kernels that are compared, and how each is started and interrupted. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { kernelspec } from "../../../kernel/install/kernelspec.ts";

export interface Peer {
  name: string;
  argv: (connectionFile: string) => string[];
  interrupt: "message" | "signal";
  /** Cells in the kernel's language. */
  cells: { trivial: string; flood: string; loop: string; set: string; get: string };
}

const typescript = {
  trivial: "1 + 1",
  flood: "for (let i = 0; i < 20000; i++) console.log(i)",
  loop: "while (true) {}",
  set: "let kept = 41",
  get: "console.log(kept + 1)",
};
const python = {
  trivial: "1 + 1",
  flood: "for i in range(20000): print(i)",
  loop: "while True: pass",
  set: "kept = 41",
  get: "print(kept + 1)",
};

const bench = resolve("test/bench");

/** npm packages of a peer's own folder, once. */
function npm(folder: string, program: string): string | null {
  const path = join(bench, folder, "node_modules", program);
  if (!existsSync(path)) {
    process.stderr.write(`bench: bringing in the npm packages of test/bench/${folder}\n`);
    spawnSync(
      "npm",
      ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel", "error"],
      { cwd: join(bench, folder), stdio: "inherit" },
    );
  }
  return existsSync(path) ? path : null;
}

/** Those that can be had here; what cannot is named on stderr. */
export function peers(): Peer[] {
  const found: Peer[] = [
    {
      name: "moescope",
      // As Jupyter starts it.
      argv: (file) => kernelspec().argv.map((word) => (word === "{connection_file}" ? file : word)),
      interrupt: "message",
      cells: typescript,
    },
  ];
  const python3 = resolve(".venv/bin/python");
  if (existsSync(python3) && spawnSync(python3, ["-c", "import ipykernel"]).status === 0) {
    found.push({
      name: "ipykernel",
      argv: (file) => [python3, "-m", "ipykernel_launcher", "-f", file],
      interrupt: "signal",
      cells: python,
    });
  } else process.stderr.write("bench: no ipykernel in .venv; `npm test` brings it in\n");
  const deno = npm("peers", "deno/bin.cjs") ?? npm("peers", ".bin/deno");
  if (deno)
    found.push({
      name: "deno",
      argv: (file) => [denoBinary(), "jupyter", "--kernel", "--conn", file],
      interrupt: "message",
      cells: typescript,
    });
  const tslab = npm("tslab", "tslab/bin/tslab");
  if (tslab)
    found.push({
      name: "tslab",
      argv: (file) => [process.execPath, tslab, "kernel", "--config-path", file],
      interrupt: "signal",
      cells: typescript,
    });
  return found;
}

/** The program itself, not npm's JavaScript wrapper around it: the wrapper's start is not Deno's. */
export function denoBinary(): string {
  const folder = join(bench, "peers/node_modules/@deno");
  const platform = `${process.platform}-${process.arch}`;
  for (const name of [`${platform}-glibc`, platform]) {
    if (existsSync(join(folder, name, "deno"))) return join(folder, name, "deno");
  }
  return join(bench, "peers/node_modules/.bin/deno");
}
