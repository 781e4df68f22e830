"""The Llama 4 text architecture, written for training one small model fast. Tensor names and layouts are Hugging Face's.

Shapes: B rows, T = 1024 places, D hidden, H heads, K key-value heads, d head size, E experts, F expert width, C chunk.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention.flex_attention import create_block_mask, flex_attention


@dataclass(frozen=True)
class Config:
    vocab_size: int = 4096
    hidden_size: int = 256
    num_hidden_layers: int = 8
    num_attention_heads: int = 8
    num_key_value_heads: int = 2
    head_dim: int = 32
    intermediate_size: int = 112
    num_local_experts: int = 8
    attention_chunk_size: int = 64
    floor_scale: int = 64
    attn_scale: float = 0.1
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-5
    max_position_embeddings: int = 1024

    def is_global(self, layer):
        return (layer + 1) % 4 == 0


def rms(x, eps):
    """x / sqrt(mean(x²) + eps) in fp32."""
    x32 = x.float()
    return (x32 * torch.rsqrt(x32.pow(2).mean(-1, keepdim=True) + eps)).to(x.dtype)


class RMSNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):
        return rms(x, self.eps) * self.weight.to(x.dtype)


def linear(n_in, n_out):
    return nn.Linear(n_in, n_out, bias=False)


def rope_table(config):
    """cos, sin [C, d/2]. RoPE acts only inside a chunk, and only on differences: the place in the chunk is enough."""
    half = config.head_dim // 2
    frequency = config.rope_theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(config.attention_chunk_size, dtype=torch.float64)[:, None] * frequency
    return angle.cos().float(), angle.sin().float()


def rotate(x, cos, sin):
    """x [.., C, heads, d]: adjacent pairs (2j, 2j+1) turned by the angle of their place."""
    a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = cos[:, None], sin[:, None]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2).to(x.dtype)


class Attention(nn.Module):
    def __init__(self, config, is_global):
        super().__init__()
        self.config, self.is_global = config, is_global
        D, H, K, d = config.hidden_size, config.num_attention_heads, config.num_key_value_heads, config.head_dim
        self.q_proj, self.k_proj, self.v_proj = linear(D, H * d), linear(D, K * d), linear(D, K * d)
        self.o_proj = linear(H * d, D)

    def forward(self, x, context):
        B, T, _ = x.shape
        c = self.config
        q = self.q_proj(x).unflatten(-1, (-1, c.head_dim))
        k = self.k_proj(x).unflatten(-1, (-1, c.head_dim))
        v = self.v_proj(x).unflatten(-1, (-1, c.head_dim))
        group = c.num_attention_heads // c.num_key_value_heads
        size = 0.0
        if self.is_global:
            size = (q.float().pow(2).mean(-1).sum(-1) + k.float().pow(2).mean(-1).sum(-1)) * context.used
            size = size.sum() / context.used.sum()
            q = (q.float() * context.temperature[:, :, None, None]).to(q.dtype)
            z = attend(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), group, context).transpose(1, 2)
        else:
            C = c.attention_chunk_size
            q, k, v = (t.reshape(B * T // C, C, -1, c.head_dim) for t in (q, k, v))
            q = rms(rotate(q, context.cos, context.sin), c.rms_norm_eps).transpose(1, 2)
            k = rms(rotate(k, context.cos, context.sin), c.rms_norm_eps).transpose(1, 2).repeat_interleave(group, 1)
            v = v.transpose(1, 2).repeat_interleave(group, 1)
            z = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
        return self.o_proj(z.reshape(B, T, -1)), size


class Experts(nn.Module):
    """Fused [E, in, out] weights, gate columns before up columns."""

    def __init__(self, config):
        super().__init__()
        E, D, I = config.num_local_experts, config.hidden_size, config.intermediate_size
        self.gate_up_proj = nn.Parameter(torch.empty(E, D, 2 * I))
        self.down_proj = nn.Parameter(torch.empty(E, I, D))


class SharedExpert(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gate_proj = linear(config.hidden_size, config.intermediate_size)
        self.up_proj = linear(config.hidden_size, config.intermediate_size)
        self.down_proj = linear(config.intermediate_size, config.hidden_size)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class MoE(nn.Module):
    """Top-1 of E experts on sigmoid(score)·z, and a shared expert on z.

    All experts are computed as one product and the unchosen ones are multiplied by zero. At this size that is faster
    than gathering tokens, and the result is the same: with s = 0 the expert's input is 0, and expert(0) = 0.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.router = linear(config.hidden_size, config.num_local_experts)
        self.experts = Experts(config)
        self.shared_expert = SharedExpert(config)

    def forward(self, z):
        E, I = self.config.num_local_experts, self.config.intermediate_size
        with torch.autocast(z.device.type, enabled=False):
            logits = F.linear(z.float(), self.router.weight)
        chosen = F.one_hot(logits.argmax(-1), E)
        score = (torch.sigmoid(logits) * chosen).to(z.dtype)[..., None]
        weight = self.experts.gate_up_proj.permute(1, 0, 2).reshape(-1, E * 2 * I)
        gate, up = (z @ weight.to(z.dtype)).unflatten(-1, (E, 2 * I)).split(I, -1)
        act = F.silu(gate * score) * (up * score)
        routed = act.flatten(-2) @ self.experts.down_proj.reshape(E * I, -1).to(z.dtype)
        return self.shared_expert(z) + routed, logits, chosen


class Layer(nn.Module):
    def __init__(self, config, index):
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config, config.is_global(index))
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.feed_forward = MoE(config)

    def forward(self, x, context):
        z, size = self.self_attn(self.input_layernorm(x), context)
        h = x + z
        out, logits, chosen = self.feed_forward(self.post_attention_layernorm(h))
        return h + out, balance(logits, chosen, context.used), size, chosen


def balance(logits, chosen, used):
    """Switch's loss E·Σ f_e·P_e (arXiv 2101.03961 eq. 4) over the batch, with P the softmax of the router's logits.

    Llama 4 scores with a sigmoid, which gives no distribution over experts. The softmax of the same logits does, and it
    does not change when all of them grow together: the term moves tokens between experts, never the scores' height.
    """
    w = used[..., None].float()
    n = w.sum()
    f = (chosen * w).sum((0, 1)) / n
    p = (logits.softmax(-1) * w).sum((0, 1)) / n
    return logits.shape[-1] * (f * p).sum()


@dataclass
class Context:
    """What every layer needs to know of a batch: built once by `context`, so that layers compile once."""

    used: torch.Tensor  # [B, T] bool, false at padding
    temperature: torch.Tensor  # [B, T] f32, by the place in the document
    cos: torch.Tensor
    sin: torch.Tensor
    blocks: object  # a flex_attention BlockMask, or None:
    mask: torch.Tensor | None  # [B, 1, T, T] bool, true where a key is seen


def documents(ids, bos):
    """Number of its document [B, T], and the place in it [B, T], of each token."""
    starts = ids == bos
    place = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    return starts.cumsum(1), place - torch.where(starts, place, 0).cummax(1).values


def attend(q, k, v, group, context):
    """Causal attention within a document. q [B, H, T, d]; k, v [B, K, T, d] -> [B, H, T, d]."""
    if context.blocks is not None:
        return flex_attention(q, k, v, block_mask=context.blocks, enable_gqa=True)
    k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=context.mask)


def block_mask(document):
    """The same mask for flex_attention, which skips the blocks that it leaves empty (GPU only)."""
    B, T = document.shape

    def visible(b, h, i, j):
        return (i >= j) & (document[b, i] == document[b, j])

    return create_block_mask(visible, B, None, T, T, device=document.device)


def dense_mask(document):
    """[B, 1, T, T] bool."""
    T = document.shape[1]
    causal = torch.ones(T, T, dtype=torch.bool, device=document.device).tril()
    return (causal & (document[:, :, None] == document[:, None, :]))[:, None]


class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config, i) for i in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.lm_head = linear(config.hidden_size, config.vocab_size)
        cos, sin = rope_table(config)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        std = 0.6 / math.sqrt(config.hidden_size)
        for name, p in self.named_parameters():
            if p.dim() > 1:
                residual = name.endswith(("o_proj.weight", "down_proj.weight", "down_proj"))
                nn.init.normal_(p, std=std / math.sqrt(2 * config.num_hidden_layers) if residual else std)

    def context(self, ids, bos, pad, temperature=True, flex=False):
        document, place = documents(ids, bos)
        c = self.config
        law = torch.log(torch.floor((place + 1) / c.floor_scale) + 1) * c.attn_scale + 1
        if not temperature:
            law = torch.ones_like(law)
        masks = (block_mask(document), None) if flex else (None, dense_mask(document))
        return Context(ids != pad, law, self.cos, self.sin, *masks)

    def forward(self, ids, context):
        """ids [B, T] -> final hidden [B, T, D], the mean balance loss, the size of the global layers' queries and keys (sum
        over heads of their mean square), and the chosen experts: a list of L [B, T, E] one-hots."""
        x = self.embed_tokens(ids)
        if torch.is_autocast_enabled(ids.device.type):
            x = x.to(torch.get_autocast_dtype(ids.device.type))
        losses, sizes, choices = [], 0.0, []
        for layer in self.layers:
            x, loss, size, chosen = layer(x, context)
            losses.append(loss)
            sizes = sizes + size
            choices.append(chosen)
        return self.norm(x), torch.stack(losses).mean(), sizes, choices


def next_token_loss(hidden, head, ids, bos, pad):
    """Cross entropy of each next token [B, T] in nats (zero where nothing is to be predicted), and which count."""
    target = F.pad(ids[:, 1:], (0, 1), value=pad)
    counts = (target != pad) & (target != bos)
    logits = F.linear(hidden, head.to(hidden.dtype)).float()
    loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none").view_as(ids)
    return loss * counts, counts
