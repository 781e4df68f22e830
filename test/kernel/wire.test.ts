import assert from "node:assert/strict";
import { test } from "node:test";
import { codePointsFromUnits, unitsFromCodePoints } from "../../kernel/protocol/code-points.ts";
import { createMessage } from "../../kernel/protocol/message.ts";
import { Wire, WireError } from "../../kernel/protocol/wire.ts";

const message = () =>
  createMessage(
    "execute_request",
    { code: "é😀" },
    {
      identities: [Buffer.from("id1"), Buffer.from([0, 255])],
      metadata: { a: 1 },
      buffers: [new Uint8Array([1, 2]), new Uint8Array(0)],
    },
  );

test("a message survives the wire: identities, parts, buffers", () => {
  for (const key of ["", "secret"]) {
    const sent = message();
    const got = new Wire(key).decode(new Wire(key).encode(sent));
    assert.deepEqual(got.header, sent.header);
    assert.deepEqual(got.content, sent.content);
    assert.deepEqual(got.metadata, sent.metadata);
    assert.deepEqual(
      got.identities.map((f) => [...f]),
      sent.identities.map((f) => [...f]),
    );
    assert.deepEqual(
      got.buffers.map((f) => [...f]),
      [[1, 2], []],
    );
  }
});

test("the signature is HMAC-SHA256 over the four parts, in hex", () => {
  const parts = ["{}", "{}", "{}", "{}"].map((s) => Buffer.from(s));
  const frames = new Wire("key").encode({
    identities: [],
    header: {} as never,
    parent: {},
    metadata: {},
    content: {},
    buffers: [],
  });
  // Python: hmac.new(b"key", b"{}{}{}{}", "sha256").hexdigest()
  assert.equal(Buffer.from(frames[1]).toString(), "ca767b02c5bc061ed184a9a029e7f93a7f2f7ed4e8fe74120fc1212f0b008fa3");
  assert.deepEqual(
    frames.slice(2).map((f) => Buffer.from(f).toString()),
    parts.map(String),
  );
});

test("any changed byte of a signed part is noticed; a wrong key too; a repeat is refused", () => {
  const wire = new Wire("secret");
  const frames = new Wire("secret").encode(message());
  const delimiter = 2;
  for (let part = delimiter + 1; part < delimiter + 6; part++) {
    const copy = frames.map((f) => Buffer.from(f));
    copy[part][Math.floor(copy[part].length / 2)] ^= 1;
    assert.throws(() => wire.decode(copy), WireError, `part ${part}`);
  }
  assert.throws(() => new Wire("other").decode(frames), /wrong signature/);
  wire.decode(frames);
  assert.throws(() => wire.decode(frames), /repeated/);
});

test("frames that are no message", () => {
  const unsigned = new Wire("");
  const parts = (...rest: (string | Buffer)[]) => ["<IDS|MSG>", "", ...rest].map((s) => Buffer.from(s as string));
  for (const frames of [
    [],
    [Buffer.from("x")],
    parts(),
    parts("{}", "{}", "{}"),
    parts("{", "{}", "{}", "{}"),
    parts("null", "{}", "{}", "{}"),
    parts("[]", "{}", "{}", "{}"),
    parts('{"msg_type": 5, "msg_id": "a"}', "{}", "{}", "{}"),
    parts('{"msg_type": "a"}', "{}", "{}", "{}"),
    parts('{"msg_type": "a", "msg_id": "b"}', "{}", "{}", '"text"'),
  ]) {
    assert.throws(() => unsigned.decode(frames), WireError, frames.join(" "));
  }
});

test("cursor positions: code points and UTF-16 units, there and back", () => {
  const text = "a😀é𝒳\n漢";
  const points = [...text];
  for (let n = 0; n <= points.length; n++) {
    const units = points.slice(0, n).join("").length;
    assert.equal(unitsFromCodePoints(text, n), units);
    assert.equal(codePointsFromUnits(text, units), n);
  }
  assert.equal(unitsFromCodePoints(text, 99), text.length);
  assert.equal(unitsFromCodePoints(text, -1), 0);
});
