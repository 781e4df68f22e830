// `npm start` alone opens the first notebook; `npm start -- VERB …` is the moescope program.
import { join } from "node:path";
import { build } from "./lib/build.mjs";
import { root, run } from "./lib/exec.mjs";
import { main } from "./lib/say.mjs";

await main(async () => {
  await build();
  const args = process.argv.slice(2);
  // npm runs us in the package's folder; paths the user types are relative to where they typed.
  const cwd = process.env.INIT_CWD ?? process.cwd();
  return run(process.execPath, [join(root, "bin/moescope.mjs"), ...(args.length ? args : ["lab"])], { cwd });
});
