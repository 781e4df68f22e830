"""Between the training model and a Hugging Face folder (Llama4ForCausalLM, text only, bf16)."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from model import Config, Model


def save(model, folder):
    folder = Path(folder)
    c = model.config
    token = Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id
    bos, eos, pad = token("<|begin_of_text|>"), [token("<|end_of_text|>"), token("<|eot|>")], token("<|finetune_right_pad|>")
    tensors = {
        (name if name.startswith("lm_head") else f"model.{name}"): p.detach().to("cpu", torch.bfloat16).contiguous()
        for name, p in model.named_parameters()
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    config = {
        "architectures": ["Llama4ForCausalLM"],
        "model_type": "llama4_text",
        "dtype": "bfloat16",
        "vocab_size": c.vocab_size,
        "hidden_size": c.hidden_size,
        "num_hidden_layers": c.num_hidden_layers,
        "num_attention_heads": c.num_attention_heads,
        "num_key_value_heads": c.num_key_value_heads,
        "head_dim": c.head_dim,
        "intermediate_size": c.intermediate_size,
        "intermediate_size_mlp": c.intermediate_size,
        "num_local_experts": c.num_local_experts,
        "num_experts_per_tok": 1,
        "interleave_moe_layer_step": 1,
        "no_rope_layers": [int(not c.is_global(i)) for i in range(c.num_hidden_layers)],
        "attention_chunk_size": c.attention_chunk_size,
        "attn_temperature_tuning": True,
        "floor_scale": c.floor_scale,
        "attn_scale": c.attn_scale,
        "use_qk_norm": True,
        "rope_theta": c.rope_theta,
        "rope_scaling": None,
        "rms_norm_eps": c.rms_norm_eps,
        "hidden_act": "silu",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": False,
        "max_position_embeddings": c.max_position_embeddings,
        "initializer_range": 0.02,
        "output_router_logits": False,
        "router_aux_loss_coef": 0.0,
        "router_jitter_noise": 0.0,
        "use_cache": True,
        "bos_token_id": bos,
        "eos_token_id": eos,
        "pad_token_id": pad,
    }
    generation = {"bos_token_id": bos, "eos_token_id": eos, "pad_token_id": pad, "do_sample": False}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")


def load(folder, device="cpu"):
    """The bf16 weights of a folder as an fp32 model."""
    folder = Path(folder)
    values = json.loads((folder / "config.json").read_text())
    model = Model(Config(**{k: values[k] for k in Config.__dataclass_fields__}))
    tensors = load_file(folder / "model.safetensors")
    model.load_state_dict({k.removeprefix("model."): v.float() for k, v in tensors.items()})
    return model.to(device).eval()
