"""What a `tokenizer.json` does, found out in a child process: the library that reads it can panic, abort or hang.

`checked` gives the file's bytes, which the caller may then load itself: they were loaded once, and made tokens of texts
of every kind, within limits.
"""

import hashlib
import json
import sys
from pathlib import Path

from benchmark.core import child_process
from benchmark.core.errors import Failure

WHAT = "a tokenizer"
LARGEST = 64 << 20  # bytes of the file
MOST_TOKENS = 1 << 20
MOST_ADDED = 20_000  # tokens beside the model's own, which the library adds slowly
EXPANSION = 16  # tokens of a letter: no tokenizer has more
PARTS = ("normalizer", "pre_tokenizer", "post_processor")  # what an encoder's texts go through, beside the model
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_LETTERS = "".join(map(chr, range(32, 127))) + "éßÅñ\u0301\u200d中日本語אش\U0001f600\t\n\x00\u2028"
PROBES = (
    _LETTERS, _LETTERS[::-1], " ".join(_LETTERS), *(letter * 60 + "!" for letter in _LETTERS), "ab" * 300, "a b " * 300,
    "word " * 2000, "x" * 20_000,
)  # fmt: skip


def checked(path: Path) -> tuple[bytes, dict]:
    """Return the bytes of a `tokenizer.json`, and `vocabulary`: one more than its largest token.

    Raises `Failure` in one line where it is none, or none that an encoder here can use.
    """
    found = child_process.call("benchmark.nn.tokenizer_sandbox", [str(path)], path, WHAT)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Failure(f"{path}: cannot be read ({error.strerror})") from None
    if hashlib.sha256(content).hexdigest() != found["sha256"]:
        raise Failure(f"{path}: changed while it was read")
    return content, found


def loaded(content: bytes):
    """Return the library's tokenizer, without truncation and padding.

    Its special names are one token wherever a text spells them, as in the reference, even if the file does not say so.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_buffer(content)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.add_special_tokens([name for name in SPECIAL if tokenizer.token_to_id(name) is not None])
    return tokenizer


# ---- in the child process


def inspect(path: Path) -> dict:
    """See `checked`; the library may panic, abort or hang, and the limits of the process end it."""
    if path.stat().st_size > LARGEST:
        raise Failure(f"not a tokenizer: it is larger than {LARGEST >> 20} MB")
    content = path.read_bytes()
    try:
        described = json.loads(content)
        _check_added(described)
        tokenizer = loaded(content)
    except Failure:
        raise
    except RecursionError:
        raise Failure("not a tokenizer (nested too deep)") from None
    except Exception as error:  # the library has no class of its own for what it cannot read
        raise Failure(f"not a tokenizer ({' '.join(str(error).split())[:120]})") from None
    if any(_has_regex(described.get(part)) for part in PARTS):
        raise Failure("splits or replaces by a regular expression, which can take forever; a BERT tokenizer has none")
    if tokenizer.token_to_id("[PAD]") != 0:
        raise Failure("its padding is not token 0, as an encoder here needs it")
    largest = max(tokenizer.get_vocab().values())
    if largest >= MOST_TOKENS:
        raise Failure(f"its tokens' numbers reach {largest}, expected fewer than {MOST_TOKENS}")
    _check_frame(tokenizer)
    _check_probes(tokenizer)
    _check_settings(tokenizer, path.parent / "tokenizer_config.json")
    return {"sha256": hashlib.sha256(content).hexdigest(), "vocabulary": largest + 1}


def _check_added(described) -> None:
    added = described.get("added_tokens") if isinstance(described, dict) else None
    if isinstance(added, list) and len(added) > MOST_ADDED:
        raise Failure(f"adds {len(added):,} tokens to its model's own, expected at most {MOST_ADDED:,}")


def _has_regex(part) -> bool:
    if isinstance(part, dict):
        return "Regex" in part or any(map(_has_regex, part.values()))
    return isinstance(part, list) and any(map(_has_regex, part))


def _check_frame(tokenizer) -> None:
    """Every text must begin with [CLS] and end with [SEP], an empty one be nothing else."""
    first, last = (tokenizer.token_to_id(name) for name in ("[CLS]", "[SEP]"))
    if first is None or last is None:
        raise Failure("knows no [CLS] or no [SEP], which a BERT encoder's texts begin and end with")
    empty, word = (tokenizer.encode(text).ids for text in ("", "a"))
    if empty != [first, last] or word[:1] != [first] or word[-1:] != [last] or {first, last} & set(word[1:-1]):
        names = " ".join(str(tokenizer.id_to_token(number)) for number in empty[:6]) or "nothing"
        raise Failure(
            f"makes {names:.80} of an empty text, expected [CLS] [SEP]: no post_processor puts them around a text"
        )


def _check_probes(tokenizer) -> None:
    for text in PROBES:
        if len(tokenizer.encode(text).ids) > EXPANSION * len(text) + 2:
            raise Failure(f"makes over {EXPANSION} tokens of a letter, as no tokenizer does")


def _check_settings(tokenizer, path: Path) -> None:
    """`Failure` where the settings beside a tokenizer contradict it, so that other programs would read texts as they
    say: in that case nobody here knows which the encoder was trained with."""
    if not path.is_file():
        return
    try:
        config = json.loads(path.read_bytes()) if path.stat().st_size <= LARGEST else None
    except (OSError, ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise Failure(f"{path.name} beside it cannot be read")
    normalizer = tokenizer.normalizer
    lower, accents, chinese = (
        text if normalizer is None else normalizer.normalize_str(text) for text in ("AB", "é", "a中b")
    )
    wanted = {"do_lower_case": config.get("do_lower_case"), "strip_accents": config.get("strip_accents")}
    if wanted["strip_accents"] is None:
        wanted["strip_accents"] = wanted["do_lower_case"]
    wanted["tokenize_chinese_chars"] = config.get("tokenize_chinese_chars")
    does = {"do_lower_case": lower == "ab", "strip_accents": accents != "é", "tokenize_chinese_chars": " " in chinese}
    for name, value in wanted.items():
        if isinstance(value, bool) and value != does[name]:
            raise Failure(
                f"contradicts tokenizer_config.json beside it, whose {name} is {str(value).lower()}: "
                "make them agree, as the encoder was trained"
            )


if __name__ == "__main__":
    sys.exit(child_process.answer(lambda: inspect(Path(sys.argv[1])), WHAT))
