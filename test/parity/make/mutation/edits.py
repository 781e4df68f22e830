"""What the engine's edits do: they change the model, and are compared with the edited engine (edits.test.ts)."""
import torch

from mutation.parts import replace_moe
from mutation.registry import mutation


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
