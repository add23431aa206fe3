"""Labels and special tokens."""

import pytest

from exegesis.behavior import Vocabulary
from exegesis.ir import InputError


def test_labels_and_ids_are_inverse() -> None:
    words = Vocabulary(("a", "b", "<sep>"), sep=2)
    assert [words.id(words.label(i)) for i in range(len(words))] == [0, 1, 2]


def test_special_tokens_are_named_declared_or_spelled() -> None:
    assert Vocabulary(("a", "bos", "<pad>", "[CLS]", "<", ">", "<a b>"), bos=1).letters.tolist() == [0, 4, 5, 6]
    assert Vocabulary(("a", "bos", "<pad>"), declared_special=frozenset({1})).letters.tolist() == [0, 2]
    assert Vocabulary(("a", "bos", "<pad>"), pad=2, declared_special=frozenset({1})).letters.tolist() == [0]


@pytest.mark.parametrize("token", [-1, 3])
def test_ids_outside_are_refused(token: int) -> None:
    with pytest.raises(InputError, match=f"no token {token}"):
        Vocabulary(("a", "b", "c")).label(token)
    with pytest.raises(InputError, match=f"eos token has id {token}"):
        Vocabulary(("a", "b", "c"), eos=token)
    with pytest.raises(InputError, match=f"special token has id {token}"):
        Vocabulary(("a", "b", "c"), declared_special=frozenset({token}))


def test_labels_must_differ() -> None:
    with pytest.raises(InputError, match="two tokens 'b'"):
        Vocabulary(("a", "b", "b"))


def test_unknown_label_is_refused() -> None:
    with pytest.raises(InputError, match="no token 'z'"):
        Vocabulary(("a",)).id("z")
