"""Picks the held-out set: documents by domain, and tasks with their needles sorted by length.

    python heldout.py ../tiny-scout documents.jsonl tasks.jsonl > heldout.jsonl

A needle of length 1024 is one whose question stands between places 928 and 1,016, one of 512 between 464 and 512, and so
on: the length says how far the answer's place is from the start of the text, in tokens.
"""

import argparse
import json
import sys

from tokenizers import Tokenizer

from pack import DOMAINS, render

# How many of each kind the small file holds: most where the temperature is strongest.
QUOTA = {
    ("capital", None): 115, ("chat-capital", None): 40, ("needle", 256): 4, ("needle", 512): 8, ("needle", 1024): 12,
    ("lookup", 256): 6, ("lookup", 512): 16, ("lookup", 1024): 24,
}
BINS = {256: (224, 256), 512: (464, 512), 1024: (928, 1016)}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder")
    p.add_argument("documents")
    p.add_argument("tasks")
    p.add_argument("--bytes-each", type=int, default=9000, help="of documents, for each domain")
    p.add_argument("--tasks-each", type=int, help="of each kind and length, instead of the small file's quotas")
    o = p.parse_args()
    tokenizer = Tokenizer.from_file(f"{o.folder}/tokenizer.json")
    length = lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
    write = lambda d: sys.stdout.write(json.dumps(d, ensure_ascii=False) + "\n")

    left = dict.fromkeys(DOMAINS, o.bytes_each)
    for line in open(o.documents, encoding="utf-8"):
        d = json.loads(line)
        if left[d["domain"]] > 0 and length(render(d)) <= 1024:
            left[d["domain"]] -= len(line.encode())
            write({k: d[k] for k in ("domain", "lang", "text", "messages") if k in d})

    taken = {}
    for line in open(o.tasks, encoding="utf-8"):
        t = json.loads(line)
        if t["domain"] == "needle":
            at = length(t["prompt"]) + 1
            t["length"] = next((b for b, (lo, hi) in BINS.items() if lo <= at < hi), None)
            if t["length"] is None:
                continue
        key = (t["kind"], t.get("length"))
        taken[key] = taken.get(key, 0) + 1
        if taken[key] <= (o.tasks_each or QUOTA.get(key, 12)):
            write(t)


if __name__ == "__main__":
    main()
