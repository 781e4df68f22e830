import assert from "node:assert/strict";
import { test } from "node:test";
import { encodePNG, withDensity } from "../../engine/plots/pixels.ts";
import { metadataOf } from "../../kernel/display/metadata.ts";

const png = encodePNG(300, 80, new Uint8Array(300 * 80 * 4));
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

test("a picture for sharp screens is shown in its own size", () => {
  assert.deepEqual(metadataOf({ "image/png": base64(withDensity(png, 2)) }), {
    "image/png": { width: 150, height: 40 },
  });
});

test("any other picture is left alone", () => {
  assert.deepEqual(metadataOf({ "image/png": base64(png) }), {});
  assert.deepEqual(metadataOf({ "image/png": base64(withDensity(png, 1)) }), {});
  assert.deepEqual(metadataOf({ "image/png": "" }), {});
  assert.deepEqual(metadataOf({ "image/png": "iVBORw0KGgo" }), {});
  assert.deepEqual(metadataOf({ "text/plain": "x" }), {});
});
