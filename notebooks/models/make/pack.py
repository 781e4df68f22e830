"""Tokenises JSON lines into rows of 1,024 tokens.

    node corpus.mjs --seed train --megabytes 450 | python pack.py ../tiny-scout train.npz

Each document begins with <|begin_of_text|> at a multiple of 64, the attention chunk, and is padded to the next one. So in
training no chunk holds parts of two documents, and chunked attention is plain causal attention within 64 tokens.
Documents never cross a row; those longer than a row are dropped.
"""

import json
import sys

import numpy as np
from tokenizers import Tokenizer

ROW = 1024
CHUNK = 64
BOS, END, PAD = "<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad|>"


def render(document):
    """The text of a document with its control tokens; dialogues in the chat template's layout."""
    if "text" in document:
        return f"{BOS}{document['text']}{END}"
    return BOS + "".join(f"<|header_start|>{m['role']}<|header_end|>\n\n{m['content']}<|eot|>" for m in document["messages"])


class Packer:
    """First fit over a few open rows."""

    def __init__(self, pad, open_rows=64):
        self.pad, self.open_rows = pad, open_rows
        self.open, self.done = [], []

    def add(self, ids, domain):
        width = -(-len(ids) // CHUNK) * CHUNK
        if width > ROW:
            return False
        row = next((r for r in self.open if r[2] + width <= ROW), None)
        if row is None:
            if len(self.open) == self.open_rows:
                self.done.append(self.open.pop(max(range(len(self.open)), key=lambda i: self.open[i][2])))
            row = [np.full(ROW, self.pad, np.uint16), np.full(ROW // CHUNK, 255, np.uint8), 0]
            self.open.append(row)
        at = row[2]
        row[0][at : at + len(ids)] = ids
        row[1][at // CHUNK : (at + width) // CHUNK] = domain
        row[2] += width
        return True

    def rows(self):
        rows = self.done + self.open
        return np.stack([r[0] for r in rows]), np.stack([r[1] for r in rows])


def pack(lines, tokenizer, domains):
    """Rows [n, 1024] u16 and the domain of each chunk [n, 16] u8, from JSON lines."""
    packer = Packer(tokenizer.token_to_id(PAD))
    batch, stats = [], {d: [0, 0] for d in domains}
    dropped = 0

    def flush():
        nonlocal dropped
        encoded = tokenizer.encode_batch_fast([render(d) for d in batch], add_special_tokens=False)
        for document, e in zip(batch, encoded):
            index = domains.index(document["domain"])
            if packer.add(e.ids, index):
                stats[document["domain"]][0] += 1
                stats[document["domain"]][1] += len(e.ids)
            else:
                dropped += 1
        batch.clear()

    for line in lines:
        batch.append(json.loads(line))
        if len(batch) == 4096:
            flush()
    flush()
    return *packer.rows(), stats, dropped


DOMAINS = ["fact", "story", "arithmetic", "json", "code", "intl", "copy", "needle", "chat"]


def main():
    folder, out = sys.argv[1], sys.argv[2]
    tokens, domain, stats, dropped = pack(sys.stdin, Tokenizer.from_file(f"{folder}/tokenizer.json"), DOMAINS)
    used = sum(s[1] for s in stats.values())
    print(f"{len(tokens)} rows, {used / 1e6:.1f} M tokens, {used / tokens.size:.1%} of the places, {dropped} documents too long")
    for name, (documents, count) in stats.items():
        print(f"  {name:10s} {documents:8d} documents {count / used:6.1%} of tokens")
    order = np.random.default_rng(0).permutation(len(tokens))
    np.savez(out, tokens=tokens[order], domain=domain[order])


if __name__ == "__main__":
    main()
