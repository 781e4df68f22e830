"""Trains the byte-level BPE and writes tokenizer.json and tokenizer_config.json in the Hugging Face layout.

    python tokenizer.py corpus.jsonl ../tiny-scout

The pre-tokeniser is Llama 4's but for digits: each is a token of its own (Llama 4 takes up to three), so that a small
model can learn sums. Special tokens have Llama 4's names and stand at the end of the vocabulary, as there.
"""

import json
import sys
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

VOCAB = 4096
NAMED = [
    "begin_of_text", "end_of_text", "header_start", "header_end", "eom", "eot", "step", "finetune_right_pad",
    "python_start", "python_end", "image_start", "image_end", "image", "patch", "tile_x_separator", "tile_y_separator",
]
SPECIAL = [f"<|{n}|>" for n in NAMED] + [f"<|reserved_special_token_{i}|>" for i in range(16)]

CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
SPLIT = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + CONTRACTION,
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + CONTRACTION,
    r"\p{N}",
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"\s*[\r\n]+",
    r"\s+(?!\S)",
    r"\s+",
])

CHAT_TEMPLATE = (
    "{{- bos_token }}"
    "{%- for message in messages %}"
    "{{- '<|header_start|>' + message['role'] + '<|header_end|>\\n\\n' }}"
    "{%- if message['content'] is string %}{{- message['content'] }}"
    "{%- else %}{%- for part in message['content'] %}{%- if part['type'] == 'text' %}{{- part['text'] }}{%- endif %}{%- endfor %}"
    "{%- endif %}"
    "{{- '<|eot|>' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|header_start|>assistant<|header_end|>\\n\\n' }}{%- endif %}"
)


def plain(document):
    """The text of a document without its control tokens, for counting merges."""
    if "text" in document:
        yield document["text"]
    else:
        for message in document["messages"]:
            yield message["role"]
            yield "\n\n" + message["content"]


def texts(path, budget):
    """Equal characters from each language, and more of English: merges should spell words, not rare scripts."""
    left = {}
    for line in open(path, encoding="utf-8"):
        document = json.loads(line)
        key = (document["domain"], document["lang"])
        share = budget // (50 if document["domain"] == "intl" else 1)
        for text in plain(document):
            if left.setdefault(key, share) > 0:
                left[key] -= len(text)
                yield text


def main():
    corpus, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB - len(SPECIAL), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts(corpus, 1_500_000), trainer)
    base = tokenizer.get_vocab_size()
    if base != VOCAB - len(SPECIAL):
        raise SystemExit(f"the corpus gave {base} tokens, wanted {VOCAB - len(SPECIAL)}: use a larger sample")
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    bos = "<|begin_of_text|>"
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokenizer.token_to_id(bos))]),
    ])
    tokenizer.save(str(out / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": bos,
        "eos_token": "<|eot|>",
        "pad_token": "<|finetune_right_pad|>",
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 1024,
        "chat_template": CHAT_TEMPLATE,
    }
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main()
