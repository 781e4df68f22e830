"""Makes fixtures/mutations.safetensors: the logits of wrong models, one rule changed at a time, by patching transformers.

    CASE/ids, CASE/true            [150] ids; [rows, vocab] logits of the unchanged model
    CASE/NAME                      the same rows with the rule NAME changed

Metadata `about`: {rows, mutations: {NAME: {case, equivalent, what}}}. A mutation marked equivalent changes nothing but rounding and is here to say so.
"""
import contextlib
import json
import pathlib

import numpy as np
import torch
import transformers.models.llama4.modeling_llama4 as hf
from safetensors.numpy import save_file

import reference
import weights

ROWS = [1, 15, 16, 17, 47, 100, 149]
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


# ---- rotation and QK norm


@mutation("RoPE rotates halves (j, j + d/2) instead of adjacent pairs")
def half_rotation(model):
    def rotate(q, k, freqs):
        def one(x):
            a, b = x.float().chunk(2, dim=-1)
            c, s = freqs.real[:, :, None, :], freqs.imag[:, :, None, :]
            return torch.cat([a * c - b * s, a * s + b * c], dim=-1)

        return one(q), one(k)

    return patched(hf, "apply_rotary_emb", rotate)


@mutation("RoPE angle of the position within its chunk", equivalent=True)
def rope_in_chunk(model):
    rotary, chunk = model.model.rotary_emb, model.config.attention_chunk_size
    original = rotary.forward
    rotary.forward = lambda x, position_ids: original(x, position_ids % chunk)


@mutation("no RoPE frequency scaling", rope_parameters={"rope_type": "default", "rope_theta": 500000.0})
def no_rope_scaling(model):
    pass


@mutation("RoPE scaling of the first releases", rope_parameters=rope_scaling(factor=8.0, high_freq_factor=4.0))
def rope_factor_8_high_4(model):
    pass


@mutation("RoPE on the NoPE layers too")
def rope_everywhere(model):
    for a in attention(model):
        if not a.use_rope:
            scale_queries(a, temperature_of(a))
            a.use_rope = 1


@mutation("NoPE where l % 4 == 0", no_rope_layers=[0, 1, 1, 1, 0])
def nope_shifted(model):
    pass


class Norm(torch.nn.Module):
    """x / sqrt(reduce(x^2) + eps) over `dims`."""

    def __init__(self, dims=(-1,), reduce=torch.mean, eps=1e-5):
        super().__init__()
        self.dims, self.reduce, self.eps = dims, reduce, eps

    def forward(self, x):
        return x * torch.rsqrt(self.reduce(x.pow(2), dim=self.dims, keepdim=True) + self.eps)


def replace_qk_norm(model, norm, where=lambda a: a.use_rope):
    for a in attention(model):
        if where(a):
            a.qk_norm = norm


@mutation("no QK norm", use_qk_norm=False)
def no_qk_norm(model):
    pass


@mutation("QK norm over all heads together")
def qk_norm_across_heads(model):
    replace_qk_norm(model, Norm(dims=(-2, -1)))


@mutation("QK norm divides by the L2 norm, not the RMS")
def qk_norm_l2(model):
    replace_qk_norm(model, Norm(reduce=torch.sum))


@mutation("QK norm on NoPE layers too")
def qk_norm_on_nope(model):
    replace_qk_norm(model, Norm(), lambda a: not a.use_rope)


@mutation("QK norm epsilon 1e-6", case="smallqk")
def qk_norm_eps(model):
    replace_qk_norm(model, Norm(eps=1e-6))


@mutation("QK norm before the rotation", equivalent=True)
def qk_norm_before_rope(model):
    rotate, norm = hf.apply_rotary_emb, Norm()
    for a in attention(model):
        if a.use_rope:
            del a.qk_norm
    return patched(hf, "apply_rotary_emb", lambda q, k, freqs: rotate(norm(q), norm(k), freqs))


@mutation("RMS norm epsilon 1e-6")
def rms_eps(model):
    for layer in model.model.layers:
        layer.input_layernorm.eps = layer.post_attention_layernorm.eps = 1e-6
    model.model.norm.eps = 1e-6


# ---- attention temperature


def scale_queries(a, factor):
    """Multiplies the projected queries of an attention module by factor(t): on a NoPE layer that is where the temperature acts."""

    def hook(_, args, out):
        return out * factor(torch.arange(out.shape[1]).float())[None, :, None]

    a.q_proj.register_forward_hook(hook)


def temperature_of(a, shift=1, floor=None):
    floor = floor or a.floor_scale
    return lambda t: torch.log1p(torch.floor((t + shift) / floor)) * a.attn_scale + 1.0


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


# ---- mask and heads


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


def chunks(q, k, size, shift=0):
    return (q + shift) // size == (k + shift) // size


@mutation("a sliding window of C instead of chunks")
def sliding_window(model):
    return scores(model, visible=lambda a, q, k: (k <= q) & ((q - k < 16) if a.use_rope else True))


@mutation("chunk boundary one position early")
def chunk_boundary_early(model):
    return scores(model, visible=lambda a, q, k: (k <= q) & (chunks(q, k, 16, 1) if a.use_rope else True))


@mutation("no chunk mask")
def no_chunk(model):
    return scores(model, visible=lambda a, q, k: k <= q)


@mutation("chunk mask on NoPE layers too")
def chunk_on_nope(model):
    return scores(model, visible=lambda a, q, k: (k <= q) & chunks(q, k, 16))


@mutation("chunk as wide as the temperature's stairs", case="decoupled")
def chunk_by_floor(model):
    return scores(model, visible=lambda a, q, k: (k <= q) & (chunks(q, k, 24) if a.use_rope else True))


@mutation("kv head = head mod kv heads")
def kv_heads_interleaved(model):
    return scores(model, kv=lambda h, heads, groups: h % (heads // groups))


@mutation("scores over sqrt(hidden / heads) instead of sqrt(head_dim)")
def scale_of_hidden(model):
    return scores(model, scale=lambda a: (a.config.hidden_size / a.num_attention_heads) ** -0.5)


# ---- experts


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


@mutation("score on the expert's output")
def score_on_output(model):
    replace_moe(model, where="output")


@mutation("score on input and output")
def score_twice(model):
    replace_moe(model, where="both")


@mutation("score on gate and up before silu", equivalent=True)
def score_before_silu(model):
    replace_moe(model, where="gate and up")


@mutation("no score")
def no_score(model):
    replace_moe(model, score=lambda value, _: torch.ones_like(value))


@mutation("softmax over the experts instead of sigmoid")
def softmax_router(model):
    replace_moe(model, score=lambda value, logit: torch.exp(value - torch.logsumexp(logit, -1, keepdim=True)))


@mutation("scores of the chosen experts made to sum to 1", case="top2")
def scores_renormalised(model):
    def law(value, _):
        s = torch.sigmoid(value)
        return s / s.sum(-1, keepdim=True)

    replace_moe(model, score=law)


@mutation("only the best expert of two", case="top2")
def top1_of_2(model):
    for f in moe(model):
        f.top_k = f.router.top_k = 1


@mutation("no shared expert")
def no_shared_expert(model):
    replace_moe(model, shared=0.0)


@mutation("shared expert takes the scaled input", case="scout")
def shared_scaled(model):
    for f in moe(model):
        def hook(_, args, f=f):
            logit = args[0] @ f.router.weight.T
            return (args[0] * torch.sigmoid(logit.amax(-1, keepdim=True)),)

        f.shared_expert.register_forward_pre_hook(hook)


@mutation("gate and up swapped in the fused expert weights")
def gate_up_swapped(model):
    for f in moe(model):
        w = f.experts.gate_up_proj
        w.data = torch.cat(w.data.chunk(2, dim=-1)[::-1], dim=-1).contiguous()


@mutation("gate and up interleaved in the fused expert weights")
def gate_up_interleaved(model):
    for f in moe(model):
        w = f.experts.gate_up_proj
        w.data = torch.cat([w.data[..., 0::2], w.data[..., 1::2]], dim=-1).contiguous()


@mutation("gate and up swapped in the shared expert")
def shared_gate_up_swapped(model):
    for f in moe(model):
        s = f.shared_expert
        s.gate_proj, s.up_proj = s.up_proj, s.gate_proj


@mutation("gate and up swapped in the dense layers", case="maverick")
def dense_gate_up_swapped(model):
    for layer in model.model.layers:
        if not layer.is_moe_layer:
            f = layer.feed_forward
            f.gate_proj, f.up_proj = f.up_proj, f.gate_proj


# ---- what the engine's edits do; they change the model and are compared with the edited engine (edits.test.ts)


@mutation("expert 1 is never chosen")
def ban_1(model):
    replace_moe(model, choose=lambda logit: logit.index_fill(-1, torch.tensor([1]), float("-inf")).argmax(-1, keepdim=True))


@mutation("expert 2 is preferred by 0.7, its score unchanged")
def bias_2(model):
    preferred = torch.tensor([0.0, 0.0, 0.7, 0.0])
    replace_moe(model, choose=lambda logit: (logit + preferred).argmax(-1, keepdim=True))


def force(model, score):
    replace_moe(model, choose=lambda logit: torch.full((len(logit), 1), 3), score=score)


@mutation("always expert 3, with its own score")
def force_3_own(model):
    force(model, lambda value, logit: torch.sigmoid(value))


@mutation("always expert 3, with the score of the expert it replaces")
def force_3_original(model):
    force(model, lambda value, logit: torch.sigmoid(logit.amax(-1, keepdim=True)))


@mutation("always expert 3, with the score 0.4")
def force_3_constant(model):
    force(model, lambda value, logit: torch.full_like(value, 0.4))


@mutation("head 1 of layer 3 gives nothing")
def no_head_1(model):
    def hook(_, args):
        z = args[0].clone()
        z[..., 32:64] = 0
        return (z,)

    model.model.layers[3].self_attn.o_proj.register_forward_pre_hook(hook)


@mutation("the residual after layer 1 is halved from position 5 to 9")
def half_residual(model):
    def hook(_, args, out):
        out = out.clone()
        out[:, 5:10] *= 0.5
        return out

    model.model.layers[1].register_forward_hook(hook)


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
