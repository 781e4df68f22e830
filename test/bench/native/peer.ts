/** Hugging Face transformers beside us: its environment, made on demand, and one measurement. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const ENVIRONMENT = resolve(".cache/bench-venv");
const REQUIREMENTS = resolve("test/bench/native/requirements.txt");

export interface PeerResult {
  transformers: string;
  torch: string;
  results: { attention: string; prefill: number; decode: number; tokens: number[] }[];
}

/** The Python that has the pinned packages, or null (why is on stderr). MOESCOPE_BENCH_PYTHON names one that has them. */
export function python(): string | null {
  if (process.env.MOESCOPE_BENCH_PYTHON) return process.env.MOESCOPE_BENCH_PYTHON;
  const bin = join(ENVIRONMENT, "bin");
  const stamp = join(ENVIRONMENT, "requirements.txt");
  const wanted = readFileSync(REQUIREMENTS, "utf8");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return join(bin, "python");
  process.stderr.write("bench: bringing in transformers and PyTorch (.cache/bench-venv, once, some GB)\n");
  const uv = spawnSync("uv", ["--version"]).status === 0;
  const steps: [string, string[]][] = uv
    ? [
        ["uv", ["venv", "--quiet", ENVIRONMENT]],
        ["uv", ["pip", "install", "--quiet", "--python", join(bin, "python"), "-r", REQUIREMENTS]],
      ]
    : [
        ["python3", ["-m", "venv", ENVIRONMENT]],
        [join(bin, "python"), ["-m", "pip", "install", "--quiet", "-r", REQUIREMENTS]],
      ];
  for (const [program, args] of steps) {
    if (spawnSync(program, args, { stdio: ["ignore", "inherit", "inherit"] }).status !== 0) {
      process.stderr.write(`bench: no peer, since "${program} ${args.join(" ")}" failed\n`);
      return null;
    }
  }
  writeFileSync(stamp, wanted);
  return join(bin, "python");
}

export function measurePeer(
  program: string,
  o: {
    folder: string;
    random: boolean;
    format: "f32" | "bf16";
    threads: number;
    ids: Int32Array;
    decodeTokens: number;
  },
): PeerResult {
  const idsFile = join(tmpdir(), `moescope-bench-ids-${process.pid}.json`);
  writeFileSync(idsFile, JSON.stringify([...o.ids]));
  const kind = o.random ? "random" : "weights";
  try {
    const args = [
      "test/bench/native/peer.py",
      o.folder,
      kind,
      o.format,
      String(o.threads),
      idsFile,
      String(o.decodeTokens),
    ];
    const output = execFileSync(program, args, {
      encoding: "utf8",
      maxBuffer: 1 << 26,
      stdio: ["ignore", "pipe", "inherit"],
    });
    return JSON.parse(output.trim().split("\n").at(-1)!) as PeerResult;
  } finally {
    rmSync(idsFile, { force: true });
  }
}
