// TypeScript -> dist/, and the browser code of the JupyterLab plugin -> dist/kernel/lab/.
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { bundle } from "./bundle.mjs";
import { must, root } from "./exec.mjs";
import { say } from "./say.mjs";
import { once } from "./stamp.mjs";

const tsc = join(root, "node_modules/typescript/bin/tsc");

export const typescript = () =>
  once(
    {
      stampFile: "dist/.stamp",
      inputs: ["engine", "kernel", "test", "scripts/lib/bundle.mjs", "tsconfig.json", "package-lock.json"],
      output: "dist/engine/index.js",
    },
    async () => {
      say("moescope: compiling TypeScript");
      // A renamed source must not live on as compiled output.
      for (const room of ["engine", "kernel", "test"])
        rmSync(join(root, "dist", room), { recursive: true, force: true });
      await must("the TypeScript build", process.execPath, [tsc, "-p", "."]);
      await bundle();
      if (existsSync(join(root, "kernel/lab/build.mjs"))) {
        await must("the JupyterLab plugin's build", process.execPath, [join(root, "kernel/lab/build.mjs")]);
      }
    },
  );
