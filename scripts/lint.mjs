// Biome for TypeScript and JSON, clang-format for C++ (from PyPI, pinned, so that all machines agree).
import { join } from "node:path";
import { root, run } from "./lib/exec.mjs";
import { packages } from "./lib/packages.mjs";
import { install } from "./lib/python.mjs";
import { main, say } from "./lib/say.mjs";
import { filesOf } from "./lib/stamp.mjs";

await main(async () => {
  await packages();
  const fix = process.argv.includes("--fix");
  say("moescope: lint and format");
  const biome = await run(process.execPath, [
    join(root, "node_modules/@biomejs/biome/bin/biome"),
    "check",
    ...(fix ? ["--write"] : []),
    "--error-on-warnings",
    ".",
  ]);
  const bin = await install(".venv", ["clang-format==23.1.5"], "checking the C++ format");
  const sources = filesOf("native", "test/native").filter((file) => /\.(cc|h|inl|cu|cuh)$/.test(file));
  const clang = sources.length
    ? await run(join(bin, "clang-format"), [...(fix ? ["-i"] : ["--dry-run", "--Werror"]), ...sources])
    : 0;
  return biome || clang ? 1 : 0;
});
