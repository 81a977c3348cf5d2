import pytest

from poisonkit.core.modality import IMAGE, KNOWN, TEXT, is_text_dtype


def test_choose_returns_what_is_for_the_modality():
    assert IMAGE.choose(image="pixels", text="words") == "pixels"
    assert TEXT.choose(image="pixels", text="words") == "words"
    assert [KNOWN[name].is_text for name in ("image", "text")] == [False, True]


def test_choose_needs_a_value_for_each_modality():
    with pytest.raises(TypeError):
        IMAGE.choose(image=1)


def test_texts_have_a_dtype_of_their_own():
    assert is_text_dtype(TEXT.dtype)
    assert not any(map(is_text_dtype, (IMAGE.dtype, "<i8", "<f4")))
