"""The mask, and which head sees what."""
from mutation.parts import scores
from mutation.registry import mutation


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
