"""Makes fixtures/tokenizer/: a small byte-level BPE with Llama 4's split pattern (spec section 6) and what Python `tokenizers` makes of
a fuzzed set; with a tokenizer.json as argument, only `fuzz-<name of its folder>.json` for that one.

fuzz.json: {sha256 of the tokenizer.json, lines: [[text, ids, offsets, ids with specials read], ...]}. `ids` take every control token's
name as plain text; `offsets` are from and to of each token, one after the other, in UTF-16 units; the last item is there only where it
differs from `ids`.
"""
import hashlib
import json
import pathlib
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

OUT = pathlib.Path(__file__).parent.parent / "fixtures" / "tokenizer"
SPLIT = "|".join(
    [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
SPECIALS = [f"<|{n}|>" for n in ("begin_of_text", "end_of_text", "header_start", "header_end", "eom", "eot", "image", "patch")]

WORDS = """the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you were
all her she there would their we him been has when who will no more if out so up said what its about than into them can only other
time new some could these two may first then do any like my now over such our man me even most made after also did many off before
must well back through years where much your way down should because long each just state people those too mr how little good""".split()
CODE = ["const x = 1;\n", "if (a && b) {\n  return;\n}", "for (let i = 0; i < n; i++)", 'print("hi")', "=> { ", "a[i][j] += w * x;", "\t\treturn null;"]
SCRIPTS = [(0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x370, 0x3FF), (0x400, 0x4FF), (0x5D0, 0x5EA), (0x620, 0x64A), (0x900, 0x97F),
           (0xE01, 0xE3A), (0x1100, 0x11FF), (0x3041, 0x30FF), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0x300, 0x36F), (0x660, 0x669),
           (0x2150, 0x218B), (0x2000, 0x206F), (0x20A0, 0x20BF), (0x2190, 0x22FF), (0x1F300, 0x1F64F), (0x1D400, 0x1D7FF), (0xE000, 0xE010)]  # fmt: skip
SPACE = [" ", "  ", "   ", "\n", "\r\n", "\r", "\t", "\u00a0", "\u0085", "\u2028", "\u3000", "\ufeff", "\u200b", "\v", "\f", "\u1680"]
TAILS = ["'s", "'T", "'Re", "'VE", "'m", "'LL", "'d", "'\u017f", "\u2019s", "'", "''", "'x"]


def prose(r):
    out = []
    for _ in range(r.randint(1, 12)):
        w = r.choice(WORDS)
        w = r.choice([w, w, w, w.capitalize(), w.upper(), w[:2].upper() + w[2:]])
        out.append(w + (r.choice(TAILS) if r.random() < 0.2 else r.choice(["", "", "", ",", ".", "?!"])))
    return r.choice([" ", " ", "  "]).join(out)


def scripts(r):
    text = ""
    for _ in range(r.randint(1, 6)):
        lo, hi = r.choice(SCRIPTS)
        text += "".join(chr(r.randint(lo, hi)) for _ in range(r.randint(1, 5))) + r.choice(["", " ", "\u0301", "'s"])
    return text


def anything(r):
    def one():
        c = r.randint(1, 0x10FFFF) if r.random() < 0.5 else r.randint(1, 0x2FFF)
        return chr(c) if not 0xD800 <= c <= 0xDFFF else "\ufffd"

    return "".join(one() for _ in range(r.randint(1, 12)))


def spaces(r):
    return "".join(r.choice(SPACE) if r.random() < 0.7 else r.choice(["a", "B", "1", "/", ".", "é"]) for _ in range(r.randint(1, 12)))


def numbers(r):
    return r.choice(["", "-", "$", "x"]) + "".join(r.choice("0123456789.,:/e- ") for _ in range(r.randint(1, 16)))


def specials(r, names):
    parts = [r.choice([r.choice(names), r.choice(names)[:-1], r.choice(WORDS), "<|", "|>", " ", "\n"]) for _ in range(r.randint(1, 6))]
    return "".join(parts)


def strings(names, n):
    r = random.Random(4)
    kinds = [prose, scripts, anything, spaces, numbers, lambda r: "".join(r.choices(CODE, k=r.randint(1, 2))), lambda r: specials(r, names)]
    fixed = ["", " ", "\n", "a", "Hello world", "a\r\n\r\nb", "12345 67", "What is 1+1?", "👩‍👩‍👧‍👦", "e\u0301", "\u0000", "ſ'ſ", "don't DON'T don\u2019t"]
    return fixed + [kinds[i % len(kinds)](r) for i in range(n - len(fixed))]


def train():
    r = random.Random(3)
    t = Tokenizer(models.BPE(ignore_merges=True, byte_fallback=False))
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    t.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, show_progress=False)
    corpus = [f(r) for _ in range(1500) for f in (prose, scripts, numbers, lambda r: r.choice(CODE))]
    t.train_from_iterator(corpus, trainer)
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIALS])
    return t


def fuzz(t, n):
    names = [a.content for a in t.get_added_tokens_decoder().values()]
    t.no_padding(), t.no_truncation()
    for text in strings(names, n):
        t.encode_special_tokens = True
        plain = t.encode(text, add_special_tokens=False)
        t.encode_special_tokens = False
        read = t.encode(text, add_special_tokens=False).ids
        units = [0]
        for c in text:
            units.append(units[-1] + len(c.encode("utf-16-le")) // 2)
        yield [text, plain.ids, [units[at] for o in plain.offsets for at in o]] + ([read] if read != plain.ids else [])


def main():
    OUT.mkdir(exist_ok=True)
    if sys.argv[1:]:
        source = pathlib.Path(sys.argv[1])
        tokenizer, name = Tokenizer.from_file(str(source)), f"fuzz-{source.parent.name}.json"
    else:
        source, tokenizer, name = OUT / "tokenizer.json", train(), "fuzz.json"
        tokenizer.save(str(source), pretty=False)
    rows = list(fuzz(tokenizer, 500))
    lines = ",\n".join(json.dumps(r, separators=(",", ":")) for r in rows)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    (OUT / name).write_text(f'{{"sha256":"{digest}","lines":[\n{lines}\n]}}\n')
    print({p.name: f"{p.stat().st_size / 1e3:.0f} kB" for p in OUT.iterdir()}, sum(len(r) > 3 for r in rows), "with specials")


if __name__ == "__main__":
    main()
