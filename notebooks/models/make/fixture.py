"""Saves transformers' logits for a few prompts, for this repository's own test of the engine.

    python fixture.py ../tiny-scout ../../../test/engine/tiny-scout.logits.json

fp32 arithmetic on the bf16 weights, eager attention. Each prompt keeps whole rows of logits at a few places (base64 of
little-endian f32), the expert of every token in every layer, and the summed log-probability of the text. Also shown: how
far the training model (model.py) is from transformers on the same ids.
"""

import base64
import json
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from checkpoint import load


def encode(row):
    return base64.b64encode(row.contiguous().numpy().astype("<f4").tobytes()).decode()


@torch.no_grad()
def own_logits(model, ids):
    """The training model's logits [T, V]; it wants whole chunks, so the text is padded behind."""
    pad = 4095
    padded = torch.tensor([ids + [pad] * (-len(ids) % 64)])
    hidden, *_ = model(padded, model.context(padded, ids[0], pad))
    return model.lm_head(hidden)[0, : len(ids)]


def main():
    folder, out = sys.argv[1], sys.argv[2]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    trained = load(folder)
    print(type(model).__name__, model.config.rope_parameters, model.config.no_rope_layers, model.config.layer_types)
    choices = []
    for layer in model.model.layers:
        layer.feed_forward.router.register_forward_hook(lambda _m, _i, result: choices.append(result[1].argmax(-1).tolist()))
    facts = " ".join(f"The code of the {a} {b} is {(i * 7919) % 9000 + 1000}." for i, (a, b) in enumerate(
        (a, b) for a in ("red", "blue", "old", "quiet") for b in ("lamp", "fox", "bell", "owl", "key", "map")))
    prompts = {
        "fact": ["The capital of France is", [-1]],
        "chat": [[{"role": "user", "content": "2+2?"}], [-1]],
        "code": ["const a = 12;\nconst b = 30;\nconsole.log(a + b); //", [-1]],
        "chunks": [facts + "\n\nWhat is the code of the old bell? It is", [63, 64, 127, -1]],
    }
    result = {"transformers": transformers.__version__, "torch": torch.__version__, "prompts": {}}
    for name, (text, places) in prompts.items():
        if isinstance(text, str):
            ids = tokenizer(text).input_ids
        else:
            ids = tokenizer.apply_chat_template(text, add_generation_prompt=True, tokenize=True)["input_ids"]
        choices.clear()
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0]
        logp = logits[:-1].log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None]).sum()
        result["prompts"][name] = {
            "input": text,
            "ids": ids,
            "logprob": logp.item(),
            "experts": [c for c in choices],
            "logits": {str(p % len(ids)): encode(logits[p]) for p in places},
        }
        gap = (own_logits(trained, ids) - logits).abs().max().item()
        print(name, len(ids), repr(tokenizer.decode([logits[-1].argmax().item()])), f"model.py differs by {gap:.1e} of {logits.abs().max():.1f}")
    with open(out, "w") as f:
        json.dump(result, f, separators=(",", ":"))


if __name__ == "__main__":
    main()
