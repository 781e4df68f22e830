"""Hugging Face transformers on the same model, ids and threads: prefill of all rows with all logits, then greedy decode.

    peer.py <folder> <random|weights> <f32|bf16> <threads> <ids file> <decode tokens>

Prints one JSON line: the best seconds of eager and sdpa for each of the two, and the generated ids.
"""
import json
import os
import sys
import time

folder, kind, dtype, threads, ids_file, decode = sys.argv[1:]
os.environ.update(OMP_NUM_THREADS=threads, MKL_NUM_THREADS=threads, HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="")

import torch
import transformers
from transformers import Llama4ForCausalLM, Llama4TextConfig

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(int(threads))
kinds = {"f32": torch.float32, "bf16": torch.bfloat16}
ids = torch.tensor([json.load(open(ids_file))])


def load(attention):
    if kind == "weights":
        return Llama4ForCausalLM.from_pretrained(folder, dtype=kinds[dtype], attn_implementation=attention).eval()
    config = Llama4TextConfig.from_pretrained(folder, attn_implementation=attention)
    torch.set_default_dtype(kinds[dtype])
    with transformers.modeling_utils.no_init_weights() if hasattr(transformers.modeling_utils, "no_init_weights") else torch.device("cpu"):
        model = Llama4ForCausalLM(config)
    torch.manual_seed(1)
    for p in model.parameters():
        torch.nn.init.normal_(p.data, 0, 0.02) if p.dim() > 1 else torch.nn.init.ones_(p.data)
    return model.eval()


def timed(call):
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


@torch.inference_mode()
def measure(attention):
    model = load(attention)
    deadline, prefill = time.perf_counter() + 8, []
    while len(prefill) < 2 or (time.perf_counter() < deadline and len(prefill) < 15):
        seconds, out = timed(lambda: model(ids, use_cache=True))
        prefill.append(seconds)
    best, tokens, deadline = float("inf"), [], time.perf_counter() + 8
    while not tokens or time.perf_counter() < deadline:
        out = model(ids[:, : ids.shape[1] // 4], use_cache=True)
        cache, last, tokens, steps = out.past_key_values, out.logits[:, -1:].argmax(-1), [], []
        for _ in range(int(decode)):
            tokens.append(int(last))
            seconds, out = timed(lambda: model(last, past_key_values=cache, use_cache=True))
            steps.append(seconds)
            last = out.logits[:, -1:].argmax(-1)
        best = min(best, sum(steps) / len(steps))
    return {"attention": attention, "prefill": min(prefill), "decode": best, "tokens": tokens}


results = [measure(a) for a in ("eager", "sdpa")]
print(json.dumps({"transformers": transformers.__version__, "torch": torch.__version__, "results": results}))
