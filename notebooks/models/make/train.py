"""Trains tiny-scout.

    python train.py --data train.npz --heldout heldout.jsonl --folder ../tiny-scout --out OUT --seconds 300

Writes OUT/model.safetensors with its configuration, OUT/curve.json and OUT/evaluation.json. The number of steps is what
fits into --seconds, measured after a warm-up, unless --steps gives it. Runs on one CUDA device; on a CPU only for a look
at a few steps.
"""

import argparse
import json
import math
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from checkpoint import load, save
from evaluate import evaluate
from model import Config, Model, next_token_loss


def options():
    p = argparse.ArgumentParser()
    p.add_argument("--data", required=True)
    p.add_argument("--heldout", required=True, nargs="+")
    p.add_argument("--folder", required=True, help="holds tokenizer.json")
    p.add_argument("--out", required=True)
    p.add_argument("--seconds", type=float, default=300)
    p.add_argument("--steps", type=int)
    p.add_argument("--rows", type=int, default=64, help="rows of 1,024 tokens in a step")
    p.add_argument("--lr", type=float, default=3e-3)
    p.add_argument("--warmup", type=int, default=300)
    p.add_argument("--decay", type=float, default=0.1)
    p.add_argument("--decay-qk", type=float, default=0.1, help="weight decay of q_proj and k_proj in the global layers")
    p.add_argument("--penalty", type=float, default=0.0, help="coefficient of the size of the global layers' q and k")
    p.add_argument("--init", help="a folder whose weights to go on from")
    p.add_argument("--balance", type=float, default=0.01, help="coefficient of the load-balancing loss")
    p.add_argument("--no-flex", action="store_true")
    p.add_argument("--no-compile", action="store_true")
    p.add_argument("--seed", type=int, default=1)
    return p.parse_args()


def groups(model, o):
    """Weight decay on matrices, with one of their own for the products that the temperature scales; none elsewhere."""
    matrices, qk, rest = [], [], []
    for name, p in model.named_parameters():
        in_global = name.startswith("layers.") and model.config.is_global(int(name.split(".")[1]))
        if in_global and name.endswith(("q_proj.weight", "k_proj.weight")):
            qk.append(p)
        elif p.dim() > 1 and "embed" not in name:
            matrices.append(p)
        else:
            rest.append(p)
    decays = (o.decay, o.decay_qk, 0.0)
    return [{"params": g, "weight_decay": d} for g, d in zip((matrices, qk, rest), decays)]


def rate(step, steps, o):
    """Linear warm-up, then cosine to a hundredth."""
    if step < o.warmup:
        return o.lr * (step + 1) / o.warmup
    x = (step - o.warmup) / max(1, steps - o.warmup)
    return o.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, x))))


def batches(tokens, rows, device, seed):
    """Random rows without end, each epoch in a new order."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(tokens), generator=generator)
        for i in range(0, len(tokens) - rows + 1, rows):
            yield tokens[order[i : i + rows].to(tokens.device)].to(device).long()


def main():
    o = options()
    started = time.time()
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    torch.manual_seed(o.seed)
    torch.set_float32_matmul_precision("high")
    out, folder = Path(o.out), Path(o.folder)
    out.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, out / name)
    token = Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id
    bos, pad = token("<|begin_of_text|>"), token("<|finetune_right_pad|>")
    tokens = torch.from_numpy(np.load(o.data)["tokens"].astype(np.int16)).to(device)

    model = load(o.init, device).train() if o.init else Model(Config()).to(device)
    parameters = sum(p.numel() for p in model.parameters())
    optimizer = torch.optim.AdamW(groups(model, o), lr=o.lr, betas=(0.9, 0.98), eps=1e-9, fused=cuda)
    flex = cuda and not o.no_flex

    def loss_of(ids, flex):
        context = model.context(ids, bos, pad, flex=flex)
        hidden, balance, size, choices = model(ids, context)
        loss, counts = head_loss(hidden, model.lm_head.weight, ids, bos, pad)
        used = context.used[..., None]
        share = torch.stack([(c * used).sum((0, 1)) for c in choices])
        return loss.sum() / counts.sum(), balance, size, share / share.sum(1, keepdim=True)

    head_loss = next_token_loss
    stream = batches(tokens, o.rows, device, o.seed)
    autocast = torch.autocast(device.type, dtype=torch.bfloat16)
    if not o.no_compile:
        ids = next(stream)
        with torch.no_grad(), autocast:
            plain = loss_of(ids, False)[0].item()
        for layer in model.layers:
            layer.compile()
        head_loss = torch.compile(next_token_loss)
        if flex:
            try:
                with autocast:
                    value = loss_of(ids, True)[0]
                value.backward()
                optimizer.zero_grad()
                print(f"flex attention {value.item():.4f}, dense mask {plain:.4f}", flush=True)
                if not abs(value.item() - plain) < 0.02:
                    flex = False
            except Exception as e:  # an older or newer torch may lack it: the masked product gives the same values
                print(f"flex attention failed, going on with dense masks: {type(e).__name__}: {str(e)[:300]}", flush=True)
                flex = False
                optimizer.zero_grad()

    print(f"{parameters:,} parameters on {device}, flex {flex}, {time.time() - started:.0f} s to here", flush=True)
    curve, steps, mark = [], o.steps or 10**9, None
    running, since = torch.zeros(3, device=device), 0
    step = 0
    while step < steps:
        ids = next(stream)
        for g in optimizer.param_groups:
            g["lr"] = rate(step, steps, o)
        with autocast:
            loss, balance, size, share = loss_of(ids, flex)
        (loss + o.balance * balance + o.penalty * size).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        running += torch.stack((loss, balance, size)).detach()
        since += 1
        step += 1
        if step == 20:
            if cuda:
                torch.cuda.synchronize()
            mark = time.time()
        if step == 120 and not o.steps:
            if cuda:
                torch.cuda.synchronize()
            now = time.time()
            steps = step + int((o.seconds - (now - started)) / ((now - mark) / 100) * 0.97)
            print(f"{o.rows * tokens.shape[1] * 100 / (now - mark) / 1e6:.2f} M places a second, {steps} steps", flush=True)
        if step % 50 == 0 or step == steps:
            mean = (running / since).tolist()
            curve.append({
                "step": step,
                "tokens": step * o.rows * tokens.shape[1],
                "loss": round(mean[0], 4),
                "balance": round(mean[1], 4),
                "size": round(mean[2], 3),
                "load": [[round(x, 4) for x in layer] for layer in share.tolist()],
            })
            if step % 250 == 0 or step == steps:
                print(f"{step:6d} loss {mean[0]:.4f} balance {mean[1]:.4f} size {mean[2]:.2f} load {share.min():.3f} … {share.max():.3f} {time.time() - started:.0f} s", flush=True)
            running.zero_()
            since = 0

    save(model, out)
    recipe = {k: v for k, v in vars(o).items() if k not in ("data", "heldout", "folder", "out")} | {
        "steps": steps,
        "parameters": parameters,
        "places": steps * o.rows * tokens.shape[1],
        "epochs": round(steps * o.rows / len(tokens), 2),
        "seconds": round(time.time() - started),
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }
    (out / "curve.json").write_text(json.dumps({"recipe": recipe, "curve": curve}) + "\n")
    trained = load(out, device)
    torch.set_float32_matmul_precision("highest")
    for path in o.heldout:
        result = evaluate(trained, out, path, tokens)
        (out / f"evaluation-{Path(path).stem}.json").write_text(json.dumps(result, indent=1) + "\n")
        print(json.dumps({k: v for k, v in result.items() if k != "load"}), flush=True)
    print(f"{time.time() - started:.0f} s in all", flush=True)


if __name__ == "__main__":
    main()
