// Every benchmark under test/bench, one after the other; names choose some of them: `npm run bench -- engine`.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { build } from "./lib/build.mjs";
import { root, run } from "./lib/exec.mjs";
import { nativePrograms } from "./lib/native.mjs";
import { main } from "./lib/say.mjs";

await main(async () => {
  await build();
  await nativePrograms();
  const wanted = process.argv.slice(2);
  const folder = join(root, "dist/test/bench");
  let worst = 0;
  for (const name of readdirSync(folder).sort()) {
    const entry = join(folder, name, "main.js");
    if (!existsSync(entry) || (wanted.length && !wanted.includes(name))) continue;
    worst = Math.max(worst, await run(process.execPath, ["--enable-source-maps", entry]));
  }
  return worst;
});
