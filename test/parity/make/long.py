"""Makes fixtures/released.safetensors: chunk and floor scale 8192 as released, 16,500 tokens through transformers in steps of 1000
(SDPA, f32, its own cache), rows around the two boundaries kept.

    ids [16500]   rows [8]   logits [8, vocab]   layers.N.resid.post [8, d]
"""
import pathlib
import time

import numpy as np
import torch
from safetensors.numpy import save_file

import reference
import weights

LENGTH, STEP = 16500, 1000
ROWS = [8190, 8191, 8192, 8193, 16382, 16383, 16384, 16385]


def main():
    c, model = weights.case("released"), reference.load("released", attention="sdpa")
    torch.set_num_threads(2)
    ids = weights.token_ids(c["seed"], "ids", LENGTH, c["config"]["vocab_size"])
    kept, margin, cache, start = {}, np.inf, None, time.time()

    def keep(name, at):
        def hook(_, args, out):
            for row in [r for r in ROWS if at[0] <= r < at[0] + out.shape[-2]]:
                kept.setdefault(name, []).append(out.reshape(-1, out.shape[-1])[row - at[0]].numpy().copy())

        return hook

    at, gaps = [0], []
    for l, layer in enumerate(model.model.layers):
        layer.register_forward_hook(keep(f"layers.{l}.resid.post", at))
        layer.feed_forward.router.register_forward_hook(
            lambda _, args, out: gaps.append(torch.topk(out[1], 2, dim=-1).values.diff(dim=-1).abs().min().item())
        )
    model.lm_head.register_forward_hook(keep("logits", at))
    for at[0] in range(0, LENGTH, STEP):
        step = torch.tensor(ids[None, at[0] : at[0] + STEP])
        cache = model(step, past_key_values=cache, use_cache=True).past_key_values
    out = {"ids": ids.astype(np.int32), "rows": np.array(ROWS, np.int32)}
    out |= {k: np.stack(v) for k, v in kept.items()}
    path = pathlib.Path(__file__).parent.parent / "fixtures" / "released.safetensors"
    save_file(out, path)
    print(f"{path.stat().st_size / 1e3:.0f} kB, {time.time() - start:.0f} s, router margin >= {min(gaps):.1e}")


if __name__ == "__main__":
    main()
