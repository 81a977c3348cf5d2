"""Which kind of file a manifest is of."""

import pytest

from poisonkit.format import manifest

ANSWERS = {
    "clean": (True, False, False, True),
    "poisoned": (False, True, False, True),
    "sealed": (False, False, True, True),
    "delta": (False, False, False, False),
    "key": (False, False, False, False),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_each_question_about_each_kind(kind):
    facts = {"kind": kind}
    questions = (manifest.is_clean, manifest.is_poisoned, manifest.is_sealed, manifest.is_data_set)
    assert tuple(question(facts) for question in questions) == ANSWERS[kind]
    header = manifest.Header(kind, "image", "name", "", {}, "sha256:", facts)
    assert (header.clean, header.poisoned, header.sealed) == ANSWERS[kind][:3]
