// Node itself: checked before anything else can fail with a stranger message.
import { Missing } from "./say.mjs";

export function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new Missing(
    `Node ${process.versions.node} is too old: Moescope needs 20.19 or newer. Install one from https://nodejs.org, or with nvm: nvm install 22`,
  );
}
