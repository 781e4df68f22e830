"""Prints what this version of transformers does where the suite, or the engine's documentation, relies on it: one line a claim,
`true` or `FALSE` with what was seen. Exits 1 when one does not hold (any more): then read the sources and correct both."""
import json
import pathlib
import sys
import tempfile

import numpy as np
import torch
from transformers import AutoModelForCausalLM, DynamicCache, Llama4TextConfig

import reference
import weights

held = True


def claim(text, ok, seen=""):
    global held
    held &= bool(ok)
    print(f"{'true ' if ok else 'FALSE'}  {text}" + (f"  [{seen}]" if seen != "" else ""))


def ids_of(name, n=150):
    c = weights.case(name)
    return torch.tensor(weights.token_ids(c["seed"], "ids", n, c["config"]["vocab_size"]))[None]


def load_with(name, changes, **o):
    """The case's folder with entries of config.json changed; None removes one."""
    with tempfile.TemporaryDirectory() as folder:
        weights.write(name, folder)
        path = pathlib.Path(folder) / "config.json"
        config = {**json.loads(path.read_text()), **changes}
        path.write_text(json.dumps(config))
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", **o).eval()


def fails(fn):
    try:
        fn()
        return None
    except Exception as e:
        return f"{type(e).__name__}: {str(e).splitlines()[0][:90]}"


def gap(a, b):
    return float((a - b).abs().max())


def main():
    model, ids = reference.load("scout"), ids_of("scout")
    whole = model(ids, use_cache=False).logits[0]

    def steps(sizes):
        cache, out, at = DynamicCache(config=model.config), [], 0
        for n in sizes:
            out.append(model(ids[:, at : at + n], past_key_values=cache, use_cache=True).logits[0])
            at += n
        return torch.cat(out)

    worst = {n: gap(steps(s), whole) for n, s in {
        "one by one": [1] * 150, "tiles of 23": [23] * 6 + [12], "split at 15": [15, 135], "16": [16, 134], "17": [17, 133]}.items()}
    claim("decode and tiled prefill give the logits of one prefill within 1e-5 (chunk 16)", max(worst.values()) < 1e-5, worst)
    sdpa = reference.load("scout", attention="sdpa")
    claim("SDPA equals eager within 1e-5", (g := gap(sdpa(ids).logits[0], whole)) < 1e-5, g)
    out = model(ids, output_hidden_states=True, output_router_logits=True, output_attentions=True)
    claim("output_hidden_states has layers + 1 entries, the last one after the final norm",
          len(out.hidden_states) == 6 and gap(model.lm_head(out.hidden_states[-1])[0], whole) < 1e-6, len(out.hidden_states))
    claim("ForCausalLM returns router_logits when asked", out.router_logits is not None and len(out.router_logits) == 5)
    g = model.generate(ids[:, :8], max_new_tokens=2, do_sample=False, return_dict_in_generate=True, output_router_logits=True)
    claim("generate does not return router_logits", "router_logits" not in g or g["router_logits"] is None, list(g.keys()))
    claim("custom position_ids move only RoPE, and by one common shift nothing shows",
          gap(model(ids, position_ids=torch.arange(150)[None] + 8192).logits[0], whole) < 1e-3)

    left = torch.cat([torch.zeros(1, 5, dtype=torch.long), ids[:, :60]], 1)
    mask = (torch.arange(65) >= 5).long()[None]
    padded = model(left, attention_mask=mask).logits[0, 5:]
    off = load_with("scout", {"attn_temperature_tuning": False})
    free = gap(off(left, attention_mask=mask).logits[0, 5:], off(ids[:, :60]).logits[0])
    claim("a left-padded batch differs from the unpadded run with temperature, and agrees without",
          (g := gap(padded, whole[:60])) > 1e-3 and free < 1e-4, f"{g:.1e} with, {free:.1e} without")

    seen = fails(lambda: load_with("scout", {"attn_temperature_tuning": 4}))
    claim("integer attn_temperature_tuning is rejected", seen, seen)
    seen = fails(lambda: load_with("scout", {"attention_chunk_size": None})(ids))
    claim("attention_chunk_size null fails", seen, seen)
    full = load_with("unchunked", {"attention_chunk_size": None})
    u = ids_of("unchunked")
    seen = {"no cache": fails(lambda: full(u, use_cache=False)), "cache": fails(lambda: full(u, use_cache=True))}
    claim("also when every layer is full attention", all(seen.values()), seen)
    rope = weights.case("scout")["config"]["rope_parameters"]
    old = {"rope_theta": rope["rope_theta"], "rope_scaling": {k: v for k, v in rope.items() if k != "rope_theta"}, "rope_parameters": None}
    claim("the old spelling rope_scaling + rope_theta loads and means the same",
          gap(load_with("scout", old)(ids).logits[0], whole) == 0)
    claim("class defaults: temperature on, floor 8192, scale 0.1, bos 1, eos 2, chunk 8192, rope theta 500000",
          (c := Llama4TextConfig()).attn_temperature_tuning is True and (c.floor_scale, c.attn_scale) == (8192, 0.1)
          and (c.bos_token_id, c.eos_token_id, c.attention_chunk_size) == (1, 2, 8192) and c.rope_parameters["rope_theta"] == 5e5)
    source = pathlib.Path(sys.modules["transformers.models.llama4.modeling_llama4"].__file__).read_text()
    claim("router_aux_loss_coef and router_jitter_noise are not used by the model",
          "aux_loss" not in source and "jitter" not in source)

    experts = model.model.layers[0].feed_forward.experts
    seen = []
    h = experts.register_forward_pre_hook(lambda _, a: seen.append(tuple(a[0].shape)))
    model(ids)
    h.remove()
    claim("every expert runs on every token (dense bmm on zeroed inputs)", seen == [(4 * 150, 64)], seen)

    d = np.arange(0, 128, 2, dtype=np.float32) / np.float32(128)
    formed = np.float32(1) / np.power(5e5, d.astype(np.float64)).astype(np.float32)
    rotary = reference.load("released").model.rotary_emb.inv_freq.numpy()
    scaled = np.where(2 * np.pi / formed.astype(np.float64) > 8192, formed / np.float32(16), formed)
    claim("inv_freq is f32(1 / f32(theta ** f32(2j / d))), then / 16 where the wavelength exceeds 8192, to the bit",
          np.array_equal(rotary, scaled), f"first scaled pair {int(np.argmax(rotary != formed))}")
    right = (5e5 ** -(np.arange(0, 128, 2) / 128)).astype(np.float32)
    claim("so 18 of 64 differ from the correctly rounded power", (formed != right).sum() == 18, np.flatnonzero(formed != right).tolist())
    tie = torch.zeros(16)
    claim("torch.topk breaks ties arbitrarily (not always the lowest index)", torch.topk(tie, 1).indices.item() != 0 or
          torch.topk(torch.zeros(128), 1).indices.item() != 0, [torch.topk(torch.zeros(n), 1).indices.item() for n in (2, 4, 16, 128)])
    bf16 = reference.load("scout", dtype=torch.bfloat16)
    claim("bf16 runs keep bf16 router logits and logits", bf16(ids).logits.dtype == torch.bfloat16)
    sys.exit(not held)


if __name__ == "__main__":
    main()
