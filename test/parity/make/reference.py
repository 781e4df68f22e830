"""Runs a case in transformers (f32, eager attention) and reads every site of the engine's list with hooks.

Nothing of the model is recomputed here except what Hugging Face never forms: the chosen expert's gate, up and activation (it multiplies
all experts at once), the attention temperature and the attention summary.
"""
import tempfile

import numpy as np
import torch
import transformers.models.llama4.modeling_llama4 as hf
from transformers import AutoModelForCausalLM
from transformers.utils import logging

import weights

logging.set_verbosity_error()
logging.disable_progress_bar()
torch.set_num_threads(1)
torch.set_grad_enabled(False)

SUMMARY = ["entropy", "entropy_off", "max", "argmax", "sink", "local", "distance"]


def load(name, dtype=torch.float32, attention="eager", **overrides):
    """The case as a transformers model; `overrides` replace entries of its config (for mutations)."""
    with tempfile.TemporaryDirectory() as folder:
        weights.write(name, folder)
        model, info = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, attn_implementation=attention, output_loading_info=True, **overrides
        )
    wrong = {k: v for k, v in info.items() if v}
    if wrong:
        raise SystemExit(f"{name}: transformers did not take the checkpoint whole: {wrong}")
    return model.eval()


def logits(model, ids):
    """[t, vocab] of one sequence, one prefill."""
    return model(torch.tensor([list(ids)])).logits[0].float().numpy()


class Recorder:
    """Hooks on a model; after a forward pass `sites` maps site names to arrays whose first axis is the row."""

    def __init__(self, model):
        self.model, self.sites, self.handles = model, {}, []

    def keep(self, name, x):
        self.sites[name] = x.detach().clone().float().numpy()

    def on(self, module, name, which="out", shape=None):
        def hook(_, args, kwargs, out):
            x = out if which == "out" else (args[0] if args else kwargs["hidden_states"])
            if isinstance(x, tuple):
                x = x[0]
            x = x.reshape(-1, x.shape[-1]) if shape is None else x.reshape(-1, *shape)
            self.keep(name, x)

        self.handles.append(module.register_forward_hook(hook, with_kwargs=True))

    def __enter__(self):
        m, c = self.model, self.model.config
        dh = c.head_dim
        self.on(m.model.embed_tokens, "embed")
        for l, layer in enumerate(m.model.layers):
            at, a, f = f"layers.{l}.", layer.self_attn, layer.feed_forward
            self.on(layer, at + "resid.pre", "in")
            self.on(layer.post_attention_layernorm, at + "resid.mid", "in")
            self.on(layer, at + "resid.post")
            self.on(layer.input_layernorm, at + "attn.in")
            self.on(a.q_proj, at + "attn.q", shape=(c.num_attention_heads, dh))
            self.on(a.k_proj, at + "attn.k", shape=(c.num_key_value_heads, dh))
            self.on(a.v_proj, at + "attn.v", shape=(c.num_key_value_heads, dh))
            self.on(a.o_proj, at + "attn.out")
            self.on(f, at + "ffn.out")
            if layer.is_moe_layer:
                self.on(layer.post_attention_layernorm, at + "router.in")
                self.on(f.shared_expert.down_proj, at + "shared.act", "in")
                self.on(f.shared_expert, at + "shared.out")
                self.handles.append(f.register_forward_hook(self.moe(at)))
            else:
                self.on(f.down_proj, at + "mlp.act", "in")
                self.on(f, at + "mlp.out")
        self.on(m.model.norm, "final.norm")
        self.on(m.lm_head, "logits")
        self.original = hf.eager_attention_forward
        hf.eager_attention_forward = self.attention
        return self

    def __exit__(self, *_):
        hf.eager_attention_forward = self.original
        for h in self.handles:
            h.remove()

    def attention(self, module, query, key, value, mask, **kwargs):
        out, pattern = self.original(module, query, key, value, mask, **kwargs)
        at = f"layers.{module.layer_idx}.attn."
        q, k = query[0].transpose(0, 1), key[0].transpose(0, 1)
        self.keep(at + "qUsed", q)
        self.keep(at + "kUsed", k)
        self.keep(at + "z", out[0])
        self.keep(at + "pattern", pattern[0].transpose(0, 1))  # stored as [q, head, k]: rows first
        t = torch.arange(q.shape[0])
        temperature = torch.ones(len(t))
        if module.attn_temperature_tuning and not module.use_rope:
            temperature = torch.log1p(torch.floor((t.float() + 1.0) / module.floor_scale)) * module.attn_scale + 1.0
            self.keep(at + "temperature", temperature)
        self.keep(at + "summary", summary(q, k, temperature, pattern[0], module.scaling))
        return out, pattern

    def moe(self, at):
        def hook(module, args, out):
            x = args[0].reshape(-1, args[0].shape[-1])
            logit = x @ module.router.weight.T
            value, choice = torch.topk(logit, module.top_k, dim=-1)
            score = torch.sigmoid(value)
            gate_up, down = module.experts.gate_up_proj, module.experts.down_proj
            scaled = x[:, None, :] * score[..., None]
            gate, up = torch.einsum("tsd,tsdf->tsf", scaled, gate_up[choice]).chunk(2, dim=-1)
            act = torch.nn.functional.silu(gate) * up
            each = torch.einsum("tsf,tsfd->tsd", act, down[choice])
            rows = [("router.logits", logit), ("router.score", score), ("router.choice", choice), ("expert.in", scaled)]
            rows += [("expert.gate", gate), ("expert.up", up), ("expert.act", act), ("expert.out", each)]
            for name, value in rows:
                self.keep(at + name, value)
            # What Hugging Face itself added to the shared expert's output; the sum above must be that.
            routed = out[0] - torch.from_numpy(self.sites[at + "shared.out"])
            self.keep(at + "routed.out", each.sum(1))
            gap = (routed - each.sum(1)).abs().max() / routed.abs().max()
            if gap > 1e-5:
                raise SystemExit(f"{at}routed.out: recomputed and Hugging Face's differ by {gap:.1e} of the scale")

        return hook


def summary(q, k, temperature, pattern, scaling):
    """[row, head, 7] in the order of SUMMARY, in float64 from the f32 pattern; `entropy_off` with the temperature divided out."""
    p = pattern.double()
    heads = q.shape[1]
    group = heads // k.shape[1]
    keys = k.repeat_interleave(group, dim=1).double()
    off = torch.einsum("qhd,khd->hqk", q.double() / temperature[:, None, None].double(), keys) * scaling
    visible = p > 0
    off = torch.softmax(off.masked_fill(~visible, float("-inf")), dim=-1)

    def entropy(x):
        return -(x * torch.where(x > 0, x, 1.0).log()).sum(-1)

    n = p.shape[-1]
    back = (torch.arange(n)[:, None] - torch.arange(n)[None, :]).double()
    first = visible.float().argmax(-1, keepdim=True)
    columns = [
        entropy(p),
        entropy(off),
        p.amax(-1),
        p.argmax(-1).double(),
        p.gather(-1, first)[..., 0],
        (p * (back < 128)).sum(-1),
        (p * back).sum(-1),
    ]
    return torch.stack(columns, -1).transpose(0, 1)


def sites(model, ids):
    """{site: array, rows first} of one prefill."""
    with Recorder(model) as r:
        model(torch.tensor([list(ids)]), use_cache=False)
    return r.sites


def smallest_margin(found):
    """The narrowest gap between the last chosen and the first rejected router logit: below about 1e-4 two exact
    implementations may choose differently and the fixture would prove nothing."""
    least = np.inf
    for name, x in found.items():
        if name.endswith("router.logits"):
            k = found[name.replace("logits", "choice")].shape[-1]
            s = -np.sort(-x, axis=-1)
            if k < s.shape[-1]:
                least = min(least, float((s[:, k - 1] - s[:, k]).min()))
    return least
