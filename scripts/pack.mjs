// `npm run pack:gpu`: one archive, .pack/moescope-gpu.tar.xz, that runs on a bare Linux x64 server with an NVIDIA driver: no Node, no
// network, no compiler.
//   tar xf moescope-gpu.tar.xz && cd moescope-gpu && ./moescope doctor && ./moescope test gpu && ./moescope bench
import { statSync } from "node:fs";
import { join } from "node:path";
import { build } from "./lib/build.mjs";
import { cuda } from "./lib/cuda.mjs";
import { must, root } from "./lib/exec.mjs";
import { pack } from "./lib/pack.mjs";
import { Missing, main, say } from "./lib/say.mjs";

const LIMIT = 40e6;
const NAME = "moescope-gpu";

await main(async () => {
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new Missing("the pack is made on Linux x64, for Linux x64");
  await build();
  await cuda();
  await pack(join(root, ".pack", NAME));
  say("moescope: compressing (some minutes)");
  const archive = join(root, ".pack", `${NAME}.tar.xz`);
  await must("tar", "tar", ["-cJf", archive, "-C", join(root, ".pack"), NAME], {
    // Of its bytes half are Node and a third are bf16 weights: one block, the filter for x86, and positions that count by two.
    env: { ...process.env, XZ_OPT: "-T1 --x86 --lzma2=preset=9,dict=128MiB,lc=3,lp=1,pb=1" },
  });
  const { size } = statSync(archive);
  say(`moescope: .pack/${NAME}.tar.xz, ${(size / 1e6).toFixed(1)} MB`);
  if (size > LIMIT) throw new Missing(`the pack is larger than ${LIMIT / 1e6} MB`);
});
