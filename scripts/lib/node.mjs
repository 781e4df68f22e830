// Node itself: checked before anything else can fail with a stranger message.
import { Missing } from "./say.mjs";

export function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  // As package.json's `engines` says: the parser and the bundler need a Node that can require() modules.
  if (major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19)) return;
  throw new Missing(
    `Node ${process.versions.node} is too old: Moescope needs 20.19 (or a later 20), or 22.12 and newer. Install one from https://nodejs.org, or with nvm: nvm install 22`,
  );
}
