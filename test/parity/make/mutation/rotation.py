"""Rotation and QK norm."""
import torch
import transformers.models.llama4.modeling_llama4 as hf

from mutation.parts import scale_queries, temperature_of
from mutation.registry import attention, mutation, patched, rope_scaling


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
