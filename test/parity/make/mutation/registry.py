"""Wrong models, one rule changed at a time, by patching transformers; a file a part of the model. `mutations.py` runs them all."""
import contextlib

import weights

MUTATIONS = {}


def mutation(what, case="scout", equivalent=False, **config):
    """Registers a function (model) -> context manager or None, run on a fresh model; `config` overrides the case's config."""

    def register(fn):
        MUTATIONS[fn.__name__.replace("_", "-")] = (what, case, equivalent, config, fn)
        return fn

    return register


def rope_scaling(**changes):
    return {**weights.case("scout")["config"]["rope_parameters"], **changes}


@contextlib.contextmanager
def patched(owner, name, value):
    old = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, old)


def attention(model):
    return [layer.self_attn for layer in model.model.layers]


def moe(model):
    return [layer.feed_forward for layer in model.model.layers if layer.is_moe_layer]
