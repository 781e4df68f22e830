// npm packages, exactly those of the lockfile.
import { must } from "./exec.mjs";
import { say } from "./say.mjs";
import { once } from "./stamp.mjs";

export const packages = () =>
  once(
    { stampFile: "node_modules/.moescope", inputs: ["package-lock.json"], output: "node_modules/typescript" },
    async () => {
      say("moescope: bringing in the npm packages (npm ci, about 300 MB, once)");
      await must("npm ci", "npm", ["ci", "--no-audit", "--no-fund", "--loglevel", "error"]);
    },
  );
