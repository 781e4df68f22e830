"""Attention temperature."""
import torch

from mutation.parts import scale_queries, scores, temperature_of
from mutation.registry import attention, mutation


def replace_temperature(model, **law):
    for a in attention(model):
        if not a.use_rope:
            scale_queries(a, temperature_of(a, **law))
        a.attn_temperature_tuning = False


@mutation("no attention temperature", attn_temperature_tuning=False)
def no_temperature(model):
    pass


@mutation("temperature of p instead of p + 1")
def temperature_of_p(model):
    replace_temperature(model, shift=0)


@mutation("temperature stairs as wide as the chunk", case="decoupled")
def temperature_by_chunk(model):
    replace_temperature(model, floor=16)


@mutation("temperature on RoPE layers too")
def temperature_on_rope(model):
    return scores(model, lambda a, q: q * temperature_of(a)(torch.arange(q.shape[2]).float())[None, None, :, None]
                  if a.use_rope else q)
