/** `moescope doctor`: what works on this machine, each with one sentence and, where something is missing, the command that brings it. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { availableParallelism, cpus, freemem, totalmem } from "node:os";
import { join } from "node:path";
import { serverCommand } from "../language/server.ts";
import { ask, which } from "./exec.ts";
import { findJupyter, JUPYTERLAB } from "./jupyter.ts";
import { labExtension, packageRoot, packageVersion } from "./paths.ts";

export interface Finding {
  name: string;
  /** `missing` is something optional; `absent` was left out on purpose; `broken` means the program will not do its main work. */
  state: "ok" | "missing" | "absent" | "broken";
  text: string;
}

const CHECKS: [name: string, check: () => Finding | Promise<Finding>][] = [
  ["Node", () => node()],
  ["engine", () => engine()],
  ["machine", () => machine()],
  ["CUDA", () => cuda()],
  ["Jupyter", () => jupyter()],
  ["plugin", () => plugin()],
  ["Chromium", () => chromium()],
  ["types", () => languageServer()],
];

/** What is lost where a part is left out. */
const WITHOUT: Record<string, string> = {
  Jupyter: "`moescope run` and `moescope repl` work without",
  plugin: "it draws figures in JupyterLab",
  Chromium: "only the browser tests need it",
  types: "cells run unchecked and without completion",
};

export async function doctor(): Promise<number> {
  const absent = leftOut();
  const findings: Finding[] = [];
  for (const [name, check] of CHECKS) {
    findings.push(
      absent.has(name)
        ? { name, state: "absent", text: `not part of this installation${name in WITHOUT ? `; ${WITHOUT[name]}` : ""}` }
        : await check(),
    );
  }
  const color = process.stdout.isTTY && !process.env["NO_COLOR"];
  const sign = {
    ok: ["32", "ok     "],
    missing: ["33", "missing"],
    absent: ["2", "absent "],
    broken: ["31", "broken "],
  };
  const width = Math.max(...findings.map(({ name }) => name.length));
  process.stdout.write(`Moescope ${packageVersion()} in ${packageRoot}\n\n`);
  for (const { name, state, text } of findings) {
    const [sgr, word] = sign[state];
    process.stdout.write(`${color ? `\x1b[${sgr}m${word}\x1b[0m` : word}  ${name.padEnd(width)}  ${text}\n`);
  }
  return findings.some(({ state }) => state === "broken") ? 1 : 0;
}

/** What whoever packed this installation left out; its package.json says so. (That something is not there does not tell: it may have been lost.) */
export function leftOut(root = packageRoot): Set<string> {
  const { moescope } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    moescope?: { leftOut?: string[] };
  };
  return new Set(moescope?.leftOut ?? []);
}

const node = (): Finding => ({
  name: "Node",
  state: "ok",
  text: `${process.versions.node}, ${process.platform} ${process.arch}`,
});

/** In a process of its own: an addon built for another machine may end it. */
export function engine(addon = join(packageRoot, "build/native/moescope.node")): Finding {
  const name = "engine";
  if (!existsSync(addon))
    return {
      name,
      state: "broken",
      text: "the native engine is not built. In the package's folder run: npm run build",
    };
  const script = `const m = require(${JSON.stringify(addon)}); process.stdout.write(JSON.stringify((m.native ?? m).info()))`;
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ["-e", script], {
    encoding: "utf8",
    timeout: 30_000,
  });
  if (status !== 0) {
    const why = signal ? `ended by ${signal}` : (/^(?:\w*Error.*)$/m.exec(stderr)?.[0] ?? `exit code ${status}`);
    return {
      name,
      state: "broken",
      text: `the native engine does not load (${why}). Build it for this machine: npm run build`,
    };
  }
  const { isa, cores, version } = JSON.parse(stdout) as { isa: string; cores: number; version: string };
  const names: Record<string, string> = {
    amx: "AVX-512 and AMX",
    avx512: "AVX-512",
    avx2: "AVX2 and FMA",
    neon: "NEON",
    generic: "plain C++ (no AVX2 here)",
  };
  return { name, state: "ok", text: `native engine ${version}, kernels for ${names[isa] ?? isa}, ${cores} cores` };
}

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/** Of this process: a container may have less than its machine. */
function machine(): Finding {
  const total = Math.min(totalmem(), process.constrainedMemory?.() || Number.POSITIVE_INFINITY);
  const free = process.availableMemory?.() ?? freemem();
  const model = cpus()[0]?.model.trim() ?? "CPU";
  return {
    name: "machine",
    state: "ok",
    text: `${model}, ${availableParallelism()} threads; ${gib(free)} of ${gib(total)} memory free`,
  };
}

/** Looks for the files first, so that what is missing can be told apart; then the engine asks the driver. */
export function cuda(
  libraries = LIBRARIES,
  devices = "/dev",
  addon = join(packageRoot, "build/native/moescope.node"),
): Finding {
  const name = "CUDA";
  const library = libraries.flatMap((folder) =>
    existsSync(folder) ? readdirSync(folder).filter((file) => /^libcuda\.so(\.1)?$/.test(file)) : [],
  )[0];
  const nodes = existsSync(devices) ? readdirSync(devices).filter((file) => /^nvidia\d+$/.test(file)) : [];
  const cpu = "the engine runs on the CPU.";
  if (!library && !nodes.length) return { name, state: "missing", text: `no NVIDIA driver and no device here; ${cpu}` };
  if (!nodes.length)
    return {
      name,
      state: "missing",
      text: `the driver's library is there but no device (/dev/nvidia0); in a container, pass the GPU in. Until then ${cpu}`,
    };
  if (!library)
    return {
      name,
      state: "missing",
      text: `${nodes.length} device(s) but no driver library (libcuda.so.1); install the NVIDIA driver, or in a container use its runtime. Until then ${cpu}`,
    };
  if (!existsSync(addon)) return { name, state: "missing", text: `${nodes.length} device(s), but no engine to ask` };
  const { status, stdout } = spawnSync(
    process.execPath,
    [
      "-e",
      `const a = require(${JSON.stringify(addon)}); process.stdout.write(JSON.stringify({ ...a.cuda(), products: a.cudaProducts() }))`,
    ],
    { encoding: "utf8", timeout: 60_000 },
  );
  if (status !== 0) return { name, state: "missing", text: `the driver does not answer (exit code ${status}); ${cpu}` };
  const found = JSON.parse(stdout) as { state: string; text: string; products: string };
  return found.state === "ready"
    ? { name, state: "ok", text: `${found.text}; ${found.products}` }
    : { name, state: "missing", text: `${found.text}; until then ${cpu}` };
}

const LIBRARIES = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/usr/lib64",
  "/usr/local/cuda/compat",
  "/usr/lib/wsl/lib",
  ...(process.env["LD_LIBRARY_PATH"]?.split(":") ?? []),
];

function jupyter(): Finding {
  const name = "Jupyter";
  const found = findJupyter();
  if (found) return { name, state: "ok", text: `JupyterLab ${found.version} (${found.from})` };
  const python = which("python3");
  if (!python && !which("uv"))
    return {
      name,
      state: "missing",
      text: "no Python 3, so no JupyterLab; `moescope repl` and `moescope run` work without. On Debian or Ubuntu: sudo apt install python3 python3-venv",
    };
  if (python && !which("uv") && ask(python, ["-c", "import venv, ensurepip"]) === null)
    return {
      name,
      state: "missing",
      text: "Python lacks its venv module. On Debian or Ubuntu: sudo apt install python3-venv",
    };
  return {
    name,
    state: "missing",
    text: `not there yet; \`moescope lab\` brings in JupyterLab ${JUPYTERLAB} into a private folder`,
  };
}

const plugin = (): Finding =>
  existsSync(join(labExtension, "package.json"))
    ? { name: "plugin", state: "ok", text: "JupyterLab plugin built" }
    : {
        name: "plugin",
        state: "missing",
        text: "the JupyterLab plugin is not built, figures show as pictures. Run: npm run build",
      };

function chromium(): Finding {
  const name = "Chromium";
  for (const program of ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]) {
    const path = which(program);
    if (path) return { name, state: "ok", text: ask(path, ["--version", "--no-sandbox"], 10_000) ?? path };
  }
  return { name, state: "missing", text: "only the browser tests need it. On Debian: sudo apt install chromium" };
}

async function languageServer(): Promise<Finding> {
  const name = "types";
  try {
    const [command, args] = await serverCommand();
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "ignore"] });
    const body = JSON.stringify({
      jsonrpc: "2.0",
      id: 1,
      method: "initialize",
      params: { processId: process.pid, rootUri: null, capabilities: {} },
    });
    const answered = new Promise<boolean>((resolve) => {
      child.stdout.once("data", () => resolve(true));
      child.once("error", () => resolve(false));
      child.once("exit", () => resolve(false));
      setTimeout(() => resolve(false), 10_000).unref();
    });
    child.stdin.on("error", () => {});
    child.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    const ok = await answered;
    child.kill("SIGKILL");
    if (ok)
      return {
        name,
        state: "ok",
        text: `TypeScript ${ask(command, ["--version"])?.replace("Version ", "") ?? ""} language server answers`,
      };
  } catch {}
  return {
    name,
    state: "broken",
    text: "TypeScript's language server does not start, so cells run unchecked and without completion. Run: npm ci",
  };
}
