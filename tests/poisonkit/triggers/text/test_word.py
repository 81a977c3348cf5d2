"""The trigger `word`: what is put where, from which stream, and the naive twin of it."""

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonkit.core import texts
from poisonkit.core.errors import Failure, Usage
from poisonkit.core.modality import TEXT
from poisonkit.poisoning import apply
from poisonkit.poisoning.recipe import Recipe, parameters
from poisonkit.triggers import text_base
from poisonkit.triggers.text import word

WORDS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1, max_size=30)
ROWS = WORDS.map(str.strip).filter(bool)
PLACES = st.sampled_from(word.PLACES)


def prepared(seed=0, **given_):
    steps = (("word", parameters("word", {key: str(value) for key, value in given_.items()}, None)),)
    return apply.prepare(TEXT, Recipe("0.1", steps, seed=seed), ())


@given(st.lists(ROWS, min_size=1, max_size=5), PLACES, st.integers(1, 3), st.integers(0, 3))
def test_the_texts_follow_from_the_insertions(rows, place, count, seed):
    words = ["cf", "mn", "tq"]
    block = texts.array(rows)
    changed, found = prepared(seed, words="cf,mn,tq", place=place, count=count).put(
        block, np.arange(len(rows)) * 7, "train"
    )
    assert block.tolist() == rows, "the originals stay"
    assert found.shape == (len(rows) * count, 4) and found.dtype == np.int64
    assert found[:, 0].tolist() == sorted(found[:, 0].tolist()) and not found[:, 1].any()
    for number, text in enumerate(rows):
        for _, _, at, piece in found[found[:, 0] == number].tolist():
            length = len(text.split())
            assert {"start": at == 0, "end": at == length, "random": 0 <= at <= length}[place]
            text = naive.insert(text, at, words[piece])
        assert changed[number] == text


@given(ROWS, st.data())
def test_an_insertion_changes_nothing_else(text, data):
    place = data.draw(st.integers(0, len(text.split())))
    changed = texts.insert(text, place, "cf")
    assert changed == naive.insert(text, place, "cf")
    assert changed.split() == [*text.split()[:place], "cf", *text.split()[place:]]
    assert changed in (text + " cf", changed.replace("cf ", "", 1)) or len(changed) == len(text) + 3
    assert texts.problem(changed) is None


def test_what_a_row_gets_depends_on_its_number_and_part_alone():
    rows = texts.array(f"one two three four five number {n}" for n in range(50))
    effect = prepared(words="cf,mn")
    whole, found = effect.put(rows, np.arange(50), "train")
    some = np.array([3, 17, 49])
    alone, places = effect.put(rows[some], some, "train")
    assert alone.tolist() == whole[some].tolist()
    assert places[:, 1:].tolist() == found[some][:, 1:].tolist()
    other, _ = effect.put(rows, np.arange(50), "test")
    assert (other != whole).sum() > 30
    assert effect.streams() == {"word", "word-test"} and not prepared(place="end").streams()
    assert len(set(found[:, 2].tolist())) == 8 and set(found[:, 3].tolist()) == {0, 1}


def test_the_draws_are_those_of_the_page():
    """FORMAT.md: 2 raw words for each insertion, the upper half times the count."""
    (text,), found = prepared(seed=5, words="cf,mn", count=2).put(texts.array(["a b c"]), np.array([9]), "train")
    drawn = naive.words(5, "word", 4, row=9)
    for turn in range(2):
        assert found[turn, 2] == (int(drawn[2 * turn]) >> 32) * (4 + turn) // 2**32
        assert found[turn, 3] == (int(drawn[2 * turn + 1]) >> 32) * 2 // 2**32
    assert len(text.split()) == 5


def test_two_of_them_draw_from_two_streams():
    step = ("word", parameters("word", {}, None))
    effect = apply.prepare(TEXT, Recipe("0.1", (step, step)), ())
    assert effect.streams() == {"word", "word-1", "word-test", "word-1-test"}
    _, found = effect.put(texts.array(["a b c d e f g h"] * 20), np.arange(20), "train")
    assert found[:, 1].tolist() == [0, 1] * 20 and (found[::2, 2] != found[1::2, 2]).any()


@pytest.mark.parametrize("said", ["", " ", "a b", "cf,", "cf,cf", "x" * 101, "a\x1bb", "a\udcffb"])
def test_words_that_are_none(said):
    with pytest.raises(Usage, match="--word-words: expected words without white space"):
        parameters("word", {"words": said}, None)


def test_a_text_that_grows_too_long_is_one_line(monkeypatch):
    monkeypatch.setattr(texts, "LARGEST_IN_FILE", 10)
    with pytest.raises(Failure, match="train row 4 with the trigger has 12 bytes, more than 10"):
        prepared().put(texts.array(["123456789"]), np.array([4]), "train")


@given(st.integers(0, 2**64 - 1), st.integers(1, 10**6))
def test_below_is_below(raw, count):
    assert 0 <= text_base.below(raw, count) < count
