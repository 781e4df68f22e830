/** What Jupyter starts, as one file: `node dist/kernel/bundle/kernel.cjs CONNECTION_FILE`. */
import { startKernel } from "./kernel.ts";

startKernel(process.argv.at(-1)!).catch((error: Error) => {
  process.stderr.write(`moescope: ${error.message}\n`);
  process.exit(2);
});
