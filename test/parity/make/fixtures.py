"""Makes fixtures/<case>.safetensors: python make/fixtures.py [case ...]

    ids          [150] token ids; a, b: the ids of an uneven batch
    full/SITE    every value of a 40-token run (FULL cases), rows first
    proj         [sites, 150] each row of each site of a 150-token run, dotted with the unit vector `signs(site)`; metadata `sites`
    scale        [sites] largest magnitude of each of those sites
    rows/N       logits of the last two rows of a run of the first N ids; post/N: the last layer's resid.post there
    logits/a, /b every row of the uneven batch's sequences, each run alone
"""
import json
import pathlib
import sys

import numpy as np
from safetensors.numpy import save_file

import reference
import weights

OUT = pathlib.Path(__file__).parent.parent / "fixtures"
FULL = {"scout": 40, "maverick": 40}
LENGTHS = [15, 16, 17, 31, 32, 33, 150]
UNEVEN = {"a": 37, "b": 18}


def make(name):
    c = weights.case(name)
    model = reference.load(name)
    vocab = c["config"]["vocab_size"]
    ids = weights.token_ids(c["seed"], "ids", 150, vocab)
    out = {"ids": ids.astype(np.int32)}
    found = reference.sites(model, ids)
    margin = reference.smallest_margin(found)
    if margin < 2e-5:
        raise SystemExit(f"{name}: router margin {margin:.1e} is too narrow for a fixture; change the seed")
    names = [n for n in found if not n.endswith("summary")]
    out["proj"] = np.stack(
        [found[n].reshape(150, -1).astype(np.float64) @ weights.signs(n, found[n][0].size) for n in names]
    ).astype(np.float32)
    out["scale"] = np.array([np.abs(found[n]).max() for n in names], np.float32)
    for n in LENGTHS:
        found = reference.sites(model, ids[:n])
        out[f"rows/{n}"] = found["logits"][-2:]
        out[f"post/{n}"] = found[f"layers.{len(model.model.layers) - 1}.resid.post"][-2:]
    if name in FULL:
        found = reference.sites(model, ids[: FULL[name]])
        out.update({f"full/{k}": v for k, v in found.items()})
    for key, n in UNEVEN.items():
        out[key] = weights.token_ids(c["seed"], key, n, vocab).astype(np.int32)
        out[f"logits/{key}"] = reference.logits(model, out[key])
    out = {k: np.ascontiguousarray(v if v.dtype == np.int32 else v.astype(np.float32)) for k, v in out.items()}
    save_file(out, OUT / f"{name}.safetensors", metadata={"sites": json.dumps(names)})
    print(f"{name}: {(OUT / f'{name}.safetensors').stat().st_size / 1e3:.0f} kB, router margin >= {margin:.1e}")


if __name__ == "__main__":
    for case in sys.argv[1:] or [n for n in weights.CASES if n != "released"]:
        make(case)
