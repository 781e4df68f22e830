"""Experts, their scores, and the shared one."""
import torch

from mutation.parts import replace_moe
from mutation.registry import moe, mutation


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
