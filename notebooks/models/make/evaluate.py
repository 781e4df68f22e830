"""Measures a trained folder on held-out text.

    python evaluate.py ../tiny-scout heldout.jsonl [train.npz]

Losses by domain (nats a token) against a bigram model's, the load of each expert, mutual information between domain and
expert with its shuffled baseline, and how often the greedy answer of each kind of task is wholly right, with the
attention temperature on and off. Weights are the bf16 ones, arithmetic is fp32.
"""

import json
import sys
from collections import defaultdict

import numpy as np
import torch
from tokenizers import Tokenizer

from checkpoint import load
from model import next_token_loss
from pack import DOMAINS, render

SHUFFLES = 4000


def padded(sequences, pad, device, budget=65536):
    """Batches ([n, T] ids, indices) of sequences of like length, T a multiple of 64."""
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
    while order:
        width = -(-len(sequences[order[-1]]) // 64) * 64
        take, order = order[-max(1, budget // width) :], order[: -max(1, budget // width)]
        ids = torch.full((len(take), width), pad)
        for row, i in enumerate(take):
            ids[row, : len(sequences[i])] = torch.tensor(sequences[i])
        yield ids.to(device), take


def bigram(tokens, vocab, bos, pad):
    """log p [V, V] f32 on the CPU of a Witten–Bell bigram model over packed rows."""
    pairs = torch.zeros(vocab * vocab, device=tokens.device)
    for rows in tokens.split(4096):
        a, b = rows[:, :-1].long().flatten(), rows[:, 1:].long().flatten()
        keep = (a != pad) & (b != pad) & (b != bos)
        pairs += torch.bincount((a * vocab + b)[keep], minlength=vocab * vocab)
    pairs = pairs.view(vocab, vocab).cpu()
    unigram = (pairs.sum(0) + 1) / (pairs.sum() + vocab)
    kinds = (pairs > 0).sum(1, keepdim=True).clamp(min=1)
    return ((pairs + kinds * unigram) / (pairs.sum(1, keepdim=True) + kinds)).log()


def mutual_information(counts):
    """Bits between the two axes of [.., A, B] counts."""
    p = counts / counts.sum((-2, -1), keepdims=True)
    outer = p.sum(-1, keepdims=True) * p.sum(-2, keepdims=True)
    return np.where(p > 0, p * np.log2(np.maximum(p, 1e-300) / np.maximum(outer, 1e-300)), 0).sum((-2, -1))


@torch.no_grad()
def measure_documents(model, tokenizer, documents, bigrams):
    bos, pad = tokenizer.token_to_id("<|begin_of_text|>"), tokenizer.token_to_id("<|finetune_right_pad|>")
    device = model.lm_head.weight.device
    sequences = [tokenizer.encode(render(d), add_special_tokens=False).ids for d in documents]
    label = np.array([DOMAINS.index(d["domain"]) for d in documents])
    layers, experts = model.config.num_hidden_layers, model.config.num_local_experts
    load = np.zeros((len(documents), layers, experts))
    sums = {name: np.zeros((len(documents), 2)) for name in ("model", "bigram", "off")}
    for ids, index in padded(sequences, pad, device):
        for name in ("model", "off"):
            context = model.context(ids, bos, pad, temperature=name == "model")
            hidden, _, _, choices = model(ids, context)
            loss, counts = next_token_loss(hidden, model.lm_head.weight, ids, bos, pad)
            sums[name][index] = torch.stack((loss.sum(1), counts.sum(1)), 1).cpu().numpy()
            if name == "model":
                used = context.used[..., None]
                load[index] = torch.stack([(c * used).sum(1) for c in choices], 1).cpu().numpy()
        if bigrams is not None:
            rows = ids.cpu()
            value = -bigrams[rows, torch.nn.functional.pad(rows[:, 1:], (0, 1), value=pad)] * counts.cpu()
            sums["bigram"][index] = torch.stack((value.sum(1), counts.cpu().sum(1)), 1).numpy()

    def by_domain(s):
        if s[:, 1].sum() == 0:
            return None
        parts = {d: s[label == i].sum(0) for i, d in enumerate(DOMAINS)}
        return {"all": s[:, 0].sum() / s[:, 1].sum()} | {d: v[0] / v[1] for d, v in parts.items() if v[1]}

    by_label = np.stack([load[label == i].sum(0) for i in range(len(DOMAINS))], 1)  # layer, domain, expert
    observed = mutual_information(by_label)
    rng = np.random.default_rng(0)
    shuffled = np.zeros((SHUFFLES, layers))
    for s in range(SHUFFLES):  # labels move between documents: tokens of one document are not independent
        onehot = np.eye(len(DOMAINS))[rng.permutation(label)]
        counts = onehot.T @ load.reshape(len(load), -1)
        shuffled[s] = mutual_information(counts.reshape(-1, layers, experts).transpose(1, 0, 2))
    share = load.sum(0) / load.sum((0, 2))[:, None]
    return {
        "tokens": int(load[:, 0].sum()),
        "loss": by_domain(sums["model"]),
        "loss_bigram": by_domain(sums["bigram"]),
        "loss_temperature_off": by_domain(sums["off"]),
        "load_min": share.min(1).tolist(),
        "load_max": share.max(1).tolist(),
        "mutual_information_bits": observed.tolist(),
        "mutual_information_shuffled_p999": np.quantile(shuffled, 0.999, axis=0).tolist(),
        "mutual_information_shuffled_mean": shuffled.mean(0).tolist(),
        "load": (by_label / by_label.sum(-1, keepdims=True)).round(4).tolist(),
    }


@torch.no_grad()
def measure_tasks(model, tokenizer, tasks):
    """Share of tasks whose whole answer is the greedy continuation, by kind and length, temperature on and off.

    `tokens` is the share of the answers' tokens that are the most probable after the right ones before them.
    """
    bos, pad = tokenizer.token_to_id("<|begin_of_text|>"), tokenizer.token_to_id("<|finetune_right_pad|>")
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    sequences, starts, owner = [], [], []
    for i, t in enumerate(tasks):
        if "messages" in t:
            prompt = render(t) + "<|header_start|>assistant<|header_end|>\n\n"
            answers = [a + "<|eot|>" for a in ([t["answer"]] if isinstance(t["answer"], str) else t["answer"])]
        else:
            prompt, answers = "<|begin_of_text|>" + t["prompt"], [t["answer"]]
        head = encode(prompt)
        for answer in answers:
            whole = encode(prompt + answer)
            assert whole[: len(head)] == head, "an answer's first token must not join the prompt's last"
            if len(whole) <= model.config.max_position_embeddings:
                sequences.append(whole)
                starts.append(len(head))
                owner.append(i)
    by_token = np.zeros(len(tasks))
    right = {True: np.zeros(len(tasks), bool), False: np.zeros(len(tasks), bool)}
    for ids, index in padded(sequences, pad, model.lm_head.weight.device):
        for temperature in (True, False):
            hidden, *_ = model(ids, model.context(ids, bos, pad, temperature=temperature))
            guess = torch.cat([model.lm_head(h).argmax(-1) for h in hidden.split(16)])
            for row, i in enumerate(index):
                s, e = starts[i], len(sequences[i])
                same = guess[row, s - 1 : e - 1] == ids[row, s:e]
                right[temperature][owner[i]] |= bool(same.all())
                if temperature:
                    by_token[owner[i]] = max(by_token[owner[i]], same.float().mean().item())
    groups = defaultdict(list)
    for i, t in enumerate(tasks):
        groups[t["kind"] + (f"@{t['length']}" if "length" in t else "")].append(i)
    return {
        k: {
            "n": len(g),
            "on": round(float(right[True][g].mean()), 4),
            "off": round(float(right[False][g].mean()), 4),
            "tokens": round(float(by_token[g].mean()), 4),
        }
        for k, g in sorted(groups.items())
    }


def evaluate(model, folder, heldout, train_tokens=None):
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    lines = [json.loads(line) for line in open(heldout, encoding="utf-8")]
    bos, pad = tokenizer.token_to_id("<|begin_of_text|>"), tokenizer.token_to_id("<|finetune_right_pad|>")
    bigrams = None if train_tokens is None else bigram(train_tokens, model.config.vocab_size, bos, pad)
    documents = [d for d in lines if "kind" not in d]
    return measure_documents(model, tokenizer, documents, bigrams) | {
        "tasks": measure_tasks(model, tokenizer, [t for t in lines if "kind" in t])
    }


if __name__ == "__main__":
    train = torch.from_numpy(np.load(sys.argv[3])["tokens"].astype(np.int16)) if len(sys.argv) > 3 else None
    print(json.dumps(evaluate(load(sys.argv[1]), sys.argv[1], sys.argv[2], train), indent=1))
