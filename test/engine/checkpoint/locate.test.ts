import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { locate } from "../../../engine/checkpoint/locate.ts";
import { fault } from "../fault.ts";

const home = mkdtempSync(join(tmpdir(), "moescope-hub-"));
after(() => rmSync(home, { recursive: true }));
const at = join(home, "hub", "models--meta--tiny", "snapshots", "abc");
mkdirSync(at, { recursive: true });
mkdirSync(join(home, "hub", "models--meta--tiny", "refs"));
writeFileSync(join(home, "hub", "models--meta--tiny", "refs", "main"), "abc\n");

test("a shipped name, a folder, and a hub id in the local cache", () => {
  assert.match(locate("tiny-scout"), /notebooks[/\\]models[/\\]tiny-scout$/);
  assert.equal(locate(home), home);
  assert.equal(locate("meta/tiny", { HF_HOME: home }), at);
  assert.equal(locate("meta/tiny", { HF_HUB_CACHE: join(home, "hub") }), at);
});

test("what is not there is answered with what is", async () => {
  await fault(() => locate("tiny-scot"), "checkpoint", 'did you mean "tiny-scout"');
  await fault(
    () => locate("meta/other", { HF_HOME: home }),
    "checkpoint",
    "Hugging Face cache",
    "hf download meta/other",
  );
  await fault(() => locate("package.json"), "checkpoint", "a file, not a folder");
  await fault(() => locate(" "), "checkpoint", "empty");
});
