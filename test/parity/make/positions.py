"""Makes fixtures/positions.safetensors: what transformers multiplies q and k with at positions that no run reaches.

    positions               [6]
    NAME/invFreq            [d/2] f32, the buffer of transformers' rotary embedding
    NAME/invFreq64          [d/2] the same formula in float64
    NAME/cos, NAME/sin      [6, d/2] f32, as transformers forms them: the fp32 product of position and frequency, then cos and sin
    NAME/cos64, NAME/sin64  [6, d/2] float64 angles of the position within its chunk of 8192: "accurate" mode
    temperature             [6] f32, floor 8192, scale 0.1
    goldenPositions, golden the temperatures of spec 2.2
"""
import math
import pathlib

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers.models.llama4.configuration_llama4 import Llama4TextConfig
from transformers.models.llama4.modeling_llama4 import Llama4TextRotaryEmbedding

import weights

POSITIONS = [0, 8191, 8192, 131071, 1048575, 10485759]
GOLDEN = [8190, 8191, 16383, 131071, 1048575, 10485759]
CHUNK = 8192


def exact(config):
    """Inverse frequencies with RoPE scaling, in float64."""
    rope, d = config["rope_parameters"], config["head_dim"]
    f = np.array([rope["rope_theta"] ** (-j / d) for j in range(0, d, 2)])
    if rope["rope_type"] == "default":
        return f
    original, low, high = rope["original_max_position_embeddings"], rope["low_freq_factor"], rope["high_freq_factor"]
    turns = original * f / (2 * math.pi)
    blend = np.clip((turns - low) / (high - low), 0, 1) if high != low else (turns >= low).astype(float)
    return f * (blend + (1 - blend) / rope["factor"])


def temperature(positions):
    p = torch.tensor(positions)
    return (torch.log1p(torch.floor((p.float() + 1.0) / 8192)) * 0.1 + 1.0).numpy()


def main():
    out = {"positions": np.array(POSITIONS, np.int32), "temperature": temperature(POSITIONS)}
    out |= {"goldenPositions": np.array(GOLDEN, np.int32), "golden": temperature(GOLDEN)}
    cases = {n: weights.case(n)["config"] for n in weights.CASES}
    rope = cases["released"]["rope_parameters"]
    cases["stale"] = {**cases["released"], "rope_parameters": {**rope, "factor": 8.0, "high_freq_factor": 4.0}}
    cases["plain"] = {**cases["released"], "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}}
    for name, config in cases.items():
        rotary = Llama4TextRotaryEmbedding(Llama4TextConfig(**config))
        at = rotary(torch.zeros(1), torch.tensor([POSITIONS]))[0]
        out[f"{name}/invFreq"] = rotary.inv_freq.numpy()
        out[f"{name}/invFreq64"] = exact(config)
        if name in ("released", "stale", "plain"):
            out[f"{name}/cos"], out[f"{name}/sin"] = at.real.numpy(), at.imag.numpy()
            angle = np.outer(np.array(POSITIONS) % CHUNK, exact(config))
            out[f"{name}/cos64"], out[f"{name}/sin64"] = np.cos(angle), np.sin(angle)
            true = np.outer(POSITIONS, exact(config))
            error = np.abs(np.outer(np.array(POSITIONS, np.float32), rotary.inv_freq.numpy()).astype(np.float64) - true)
            print(name, "largest error of the fp32 angle, rad:", {p: f"{e:.1e}" for p, e in zip(POSITIONS, error.max(1))})
    path = pathlib.Path(__file__).parent.parent / "fixtures" / "positions.safetensors"
    save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, path)
    print(f"{path.stat().st_size / 1e3:.0f} kB; golden {out['golden']}")


if __name__ == "__main__":
    main()
