"""Parts of the model written again, so that one thing of them can be changed."""
import torch
import transformers.models.llama4.modeling_llama4 as hf

from mutation.registry import moe, patched


def scale_queries(a, factor):
    """Multiplies the projected queries of an attention module by factor(t): on a NoPE layer that is where the temperature acts."""

    def hook(_, args, out):
        return out * factor(torch.arange(out.shape[1]).float())[None, :, None]

    a.q_proj.register_forward_hook(hook)


def temperature_of(a, shift=1, floor=None):
    floor = floor or a.floor_scale
    return lambda t: torch.log1p(torch.floor((t + shift) / floor)) * a.attn_scale + 1.0


def scores(model, query=lambda a, q: q, visible=None, kv=lambda h, heads, groups: h // groups, scale=None):
    """Attention with one thing replaced: the query, the mask (`visible(a, q, k)`), the kv head of a head, or the scale."""

    def attend(a, q, k, v, mask, scaling, **_):
        heads, groups, n = q.shape[1], a.num_key_value_groups, q.shape[2]
        order = torch.tensor([kv(h, heads, groups) for h in range(heads)])
        s = query(a, q) @ k[:, order].transpose(2, 3) * (scale(a) if scale else scaling)
        if visible:
            t = torch.arange(n)
            mask = torch.where(visible(a, t[:, None], t[None, :]), 0.0, torch.finfo(s.dtype).min)
        p = torch.softmax(s + mask, dim=-1)
        return (p @ v[:, order]).transpose(1, 2).contiguous(), p

    return patched(hf, "eager_attention_forward", attend)


def replace_moe(model, score=torch.sigmoid, where="input", shared=1.0, choose=None):
    """Mixture of experts with the score's law or place, or the choice, replaced. score: [t, k] chosen logits, [t, E] all -> [t, k];
    choose: [t, E] -> [t, k] experts."""

    def forward_of(f):
        def forward(x):
            shape, x = x.shape, x.reshape(-1, x.shape[-1])
            logit = x @ f.router.weight.T
            choice = choose(logit) if choose else torch.topk(logit, f.top_k, dim=-1).indices
            value = logit.gather(-1, choice)
            s = (score(value, logit) if score is not torch.sigmoid else score(value))[..., None]
            u = x[:, None, :].expand(-1, f.top_k, -1)
            if where in ("input", "both"):
                u = u * s
            g = torch.einsum("tsd,tsdf->tsf", u, f.experts.gate_up_proj[choice])
            if where == "gate and up":
                g = g * s
            gate, up = g.chunk(2, dim=-1)
            y = torch.einsum("tsf,tsfd->tsd", torch.nn.functional.silu(gate) * up, f.experts.down_proj[choice])
            if where in ("output", "both"):
                y = y * s
            return (y.sum(1) + shared * f.shared_expert(x)).reshape(shape), logit

        return forward

    for f in moe(model):
        f.forward = forward_of(f)
