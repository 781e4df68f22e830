"""Makes fixtures/mutations.safetensors: the logits of wrong models, one rule changed at a time, by patching transformers.

    CASE/ids, CASE/true            [150] ids; [rows, vocab] logits of the unchanged model
    CASE/NAME                      the same rows with the rule NAME changed

Metadata `about`: {rows, mutations: {NAME: {case, equivalent, what}}}. A mutation marked equivalent changes nothing but rounding and is here to say so.
"""
import contextlib
import json
import pathlib

import numpy as np
from safetensors.numpy import save_file

import reference
import weights
from mutation.registry import MUTATIONS

# Each registers its own, in the order in which they are told.
import mutation.rotation
import mutation.temperature
import mutation.mask
import mutation.experts
import mutation.edits

ROWS = [1, 15, 16, 17, 47, 100, 149]


def main():
    out, about, rows = {}, {}, {}
    for name, (what, case, equivalent, config, fn) in MUTATIONS.items():
        c = weights.case(case)
        if case not in rows:
            ids = weights.token_ids(c["seed"], "ids", 150, c["config"]["vocab_size"])
            out[f"{case}/ids"], rows[case] = ids.astype(np.int32), ids
            out[f"{case}/true"] = reference.logits(reference.load(case), ids)[ROWS]
        model = reference.load(case, **config)
        with fn(model) or contextlib.nullcontext():
            wrong = reference.logits(model, rows[case])[ROWS]
        true = out[f"{case}/true"]
        change = np.abs(wrong - true).max() / np.abs(true).max()
        where = int(np.argmax(np.abs(wrong - true).max(-1) > 1e-5))
        flips = int((wrong.argmax(-1) != true.argmax(-1)).sum())
        print(f"{name:24} {case:10} {change:8.1e} of the scale, first of the rows {ROWS[where]:3}, argmax differs in {flips} of {len(ROWS)}")
        if equivalent != (change < 1e-5) or not equivalent and change < 2e-4:
            raise SystemExit(f"{name}: {change:.1e} does not show what it should")
        out[f"{case}/{name}"] = wrong
        about[name] = {"case": case, "equivalent": equivalent, "what": what}
    path = pathlib.Path(__file__).parent.parent / "fixtures" / "mutations.safetensors"
    # One key: with several their order in the file would be random.
    about = json.dumps({"rows": ROWS, "mutations": about})
    save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, path, metadata={"about": about})
    print(f"{len(MUTATIONS)} mutations, {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
