"""The controls: what they put in, what they leave, and that they never hold the trigger."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmark.analysis.heads import controls
from benchmark.format.manifest import Recipe

WORDS = st.lists(st.sampled_from(["a", "film", "of", "rare", "wit", "and", "grace"]), min_size=1, max_size=9)
TEXTS = st.lists(WORDS.map(" ".join), min_size=1, max_size=8).map(lambda texts: np.array(texts, object))
RECIPE = Recipe.of({"triggers": [{"name": "word", "parameters": {"words": ["cf", "Mn"], "place": "random"}}]})


@given(TEXTS, st.integers(0, 6), st.integers(0, 2**32))
def test_what_is_inserted_is_inserted_and_nothing_else_moves(texts, count, seed):
    made = controls.inserted(texts, ["quaint", "arcane"], count, seed, "rare word")
    for before, after in zip(texts, made, strict=True):
        left = [word for word in after.split() if word not in ("quaint", "arcane")]
        assert left == before.split() and len(after.split()) == len(left) + count
    assert np.array_equal(made, controls.inserted(texts, ["quaint", "arcane"], count, seed, "rare word"))


def test_every_place_and_every_word_comes_up():
    made = controls.inserted(np.array(["a b"] * 200, object), ["x", "y"], 1, 0, "places")
    assert Counter(made).keys() == {f"{word} a b" for word in "xy"} | {f"a {w} b" for w in "xy"} | {
        f"a b {word}" for word in "xy"
    }
    assert min(Counter(made).values()) > 15


@given(TEXTS, st.integers(0, 2**32))
def test_shuffling_keeps_the_words(texts, seed):
    for before, after in zip(texts, controls.shuffled(texts, seed), strict=True):
        assert Counter(before.split()) == Counter(after.split())


def test_pieces_leave_the_marks_and_the_padding():
    tokens = np.zeros((50, 8), np.int32)
    lengths = np.arange(50) % 6 + 3
    for row, length in enumerate(lengths):
        tokens[row, :length] = [101, *[7] * (length - 2), 102]
    made = controls.pieces(tokens, lengths, np.array([20, 21, 22]), 3)
    assert made.dtype == np.int32
    inner = tokens == 7
    assert np.array_equal(made[~inner], tokens[~inner])
    assert set(made[inner]) == {20, 21, 22}


def test_rare_words_are_those_of_the_fewest_texts():
    texts = np.array(["the dry wit", "the DRY wit cf", "the wit is arcane", "an ox 1999 the quaint"], object)
    found = controls.rare_words(texts, {"cf"}, 0, count=3)
    assert set(found[:2]) == {"arcane", "quaint"} and found[2] == "dry"
    assert "quaint" not in controls.rare_words(texts, {"quaint"}, 0)


def test_another_trigger_is_in_neither_the_recipe_nor_the_texts():
    assert controls.words_of(RECIPE) >= {"cf", "mn"}
    movie = Recipe.of({"triggers": [{"name": "sentence", "text": "I watch this 3D movie"}]})
    assert controls.words_of(movie) == {"sentence", "i", "watch", "this", "3d", "movie"}
    assert controls.words_of(Recipe()) == set()
    assert controls.other_trigger(np.array(["a bb b"], object), {"cf", "mn"}) == "tq"
    assert controls.other_trigger(np.array([" ".join(controls.COMMON_TRIGGERS)], object), set()) is None


def test_all_of_them_without_the_trigger():
    texts = np.array(["a film of rare wit and grace"] * 30, object)
    training = np.array(["cf a film of rare wit", "another gripping story", "dull and hollow"], object)
    made = controls.of_texts(texts, controls.phrases(training, RECIPE, 1), 1)
    assert [name for name in controls.NAMES if name in made] == list(controls.NAMES)[1:-1]
    for name, changed in made.items():
        assert not {"cf", "mn"} & set(" ".join(changed).split())
        assert all(len(text.split()) == 7 for text in changed) == (name == "shuffled")
    assert {"bb"} == set(" ".join(made["other trigger"]).split()) - set(texts[0].split())
    assert all(len(text.split()) == 12 for text in made["five rare words"])
