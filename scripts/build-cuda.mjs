// `npm run build:cuda`: the CUDA backend, beside the addon. No GPU is needed.
import { cuda } from "./lib/cuda.mjs";
import { main } from "./lib/say.mjs";

await main(async () => {
  await cuda();
});
