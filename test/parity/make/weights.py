"""Checkpoints from a formula: every weight is a function of (seed, tensor name, index), in integers and two IEEE roundings, so that
Python and `../checkpoint.ts` write the same bytes and no weights need to be stored.

    bits   = mix(mix(index + 1) + fnv1a(name) + mix(seed))     all mod 2**32, mix = MurmurHash3's finaliser
    n      = sum of the four bytes of bits, minus 510          near-normal, variance 4 * (256**2 - 1) / 12 = 21845
    weight = bf16(f32(centre + n * (std / sqrt(21845))))       centre 1 for norms, 0 for matrices

Run as a program it writes fixtures/checkpoints.json, the sha256 of every case's model.safetensors, which the TypeScript side must meet.
"""
import hashlib
import json
import math
import pathlib
import tempfile

import numpy as np

CASES = json.loads((pathlib.Path(__file__).parent.parent / "cases.json").read_text())


def case(name):
    """A case with what it inherits filled in: {why, seed, std, config}."""
    c = CASES[name]
    if "extends" not in c:
        return c
    base = case(c["extends"])
    return {**base, **c, "config": {**base["config"], **c.get("config", {})}}


def mix(x):
    x = x.astype(np.uint32)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> np.uint32(13)
    x *= np.uint32(0xC2B2AE35)
    x ^= x >> np.uint32(16)
    return x


def fnv1a(text):
    h = 0x811C9DC5
    for b in text.encode():
        h = ((h ^ b) * 0x01000193) & 0xFFFFFFFF
    return h


def bits(seed, name, n):
    key = (fnv1a(name) + int(mix(np.array([seed], np.uint32))[0])) & 0xFFFFFFFF
    return mix(mix(np.arange(1, n + 1, dtype=np.uint32)) + np.uint32(key))


def token_ids(seed, name, n, vocab):
    """n ids in [0, vocab)."""
    return (bits(seed, name, n) % np.uint32(vocab)).astype(np.int64)


def signs(name, n):
    """A unit vector of n equal magnitudes, for projections: bit 7 of `bits` gives the sign."""
    s = np.where(bits(0, name, n) & np.uint32(128), 1.0, -1.0)
    return s / math.sqrt(n)


def to_bf16(x):
    """float64 -> float32 -> the 16 bits of bfloat16, each rounded to nearest even."""
    u = x.astype(np.float32).view(np.uint32)
    return ((u + np.uint32(0x7FFF) + ((u >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)


def tensors(c):
    """Names and shapes in file order, as transformers 5 saves a text-only Llama 4."""
    g = c["config"]
    d, v, dh = g["hidden_size"], g["vocab_size"], g["head_dim"]
    hq, hk = g["num_attention_heads"] * dh, g["num_key_value_heads"] * dh
    f, fd, e = g["intermediate_size"], g["intermediate_size_mlp"], g["num_local_experts"]
    step, layers = g["interleave_moe_layer_step"], g["num_hidden_layers"]
    moe = g["moe_layers"] if g.get("moe_layers") is not None else list(range(step - 1, layers, step))
    yield "model.embed_tokens.weight", [v, d]
    for l in range(layers):
        p = f"model.layers.{l}."
        yield p + "input_layernorm.weight", [d]
        yield p + "self_attn.q_proj.weight", [hq, d]
        yield p + "self_attn.k_proj.weight", [hk, d]
        yield p + "self_attn.v_proj.weight", [hk, d]
        yield p + "self_attn.o_proj.weight", [d, hq]
        yield p + "post_attention_layernorm.weight", [d]
        p += "feed_forward."
        if l in moe:
            yield p + "router.weight", [e, d]
            yield p + "experts.gate_up_proj", [e, d, 2 * f]
            yield p + "experts.down_proj", [e, f, d]
            p += "shared_expert."
        width = f if l in moe else fd
        yield p + "gate_proj.weight", [width, d]
        yield p + "up_proj.weight", [width, d]
        yield p + "down_proj.weight", [d, width]
    yield "model.norm.weight", [d]
    if not g["tie_word_embeddings"]:
        yield "lm_head.weight", [v, d]


def std_of(c, name):
    s = c["std"]
    for part, value in s.items():
        if part not in ("default", "norm") and part in name:
            return value
    return s["norm"] if "norm" in name else s["default"]


def tensor(c, name, shape):
    n = math.prod(shape)
    b = bits(c["seed"], name, n)
    total = sum(((b >> np.uint32(s)) & np.uint32(255)).astype(np.int64) for s in (0, 8, 16, 24)) - 510
    centre = 1.0 if "norm" in name else 0.0
    return to_bf16(centre + total.astype(np.float64) * (std_of(c, name) / math.sqrt(21845.0)))


def write(name, folder):
    """Writes config.json and model.safetensors of a case; returns the sha256 of the latter."""
    c = case(name)
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(c["config"]))
    header, blobs, at = {"__metadata__": {"format": "pt"}}, [], 0
    for key, shape in tensors(c):
        blob = tensor(c, key, shape).tobytes()
        header[key] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    data = len(head).to_bytes(8, "little") + head + b"".join(blobs)
    (folder / "model.safetensors").write_bytes(data)
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sums = {k: write(k, folder) for k in CASES}
    path = pathlib.Path(__file__).parent.parent / "fixtures" / "checkpoints.json"
    path.write_text(json.dumps(sums, indent=2) + "\n")
