"""Constants are named after what people call the tokens."""

import pytest

from exegesis.emit.words import Words, constant_name
from exegesis.ir import Axis, Graph, Node, Type


def words(labels: tuple[str, ...], **axes: tuple[str, ...]) -> Words:
    tokens = Node("tokens", "input.tokens", (), Type("category", ("position",), "token"))
    named = {k: Axis(k, len(v), v) for k, v in {"token": labels, **axes}.items()}
    return Words(Graph((tokens,), ("tokens",), axes=named))


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("a", "A"),
        ("<bos>", "BOS"),
        ("[CLS]", "CLS"),
        ("<|endoftext|>", "ENDOFTEXT"),
        ("(", "LEFT_PARENTHESIS"),
        ("Ġthe", "GTHE"),
        ("café", "CAFE"),
        ("9", "N_9"),
        ("\x00", "TOKEN_4"),
        ("日本", "TOKEN_4"),
    ],
)
def test_names_of_labels(label: str, name: str) -> None:
    assert constant_name(label, 4) == name


def test_a_label_that_is_its_own_number_stays_a_number() -> None:
    assert words(("0", "1", "2", "<eos>")).category("token", 1).text == "1"
    assert words(("1", "0")).category("token", 1).text == "N_0"


def test_labels_that_would_share_a_name_are_numbered() -> None:
    vocabulary = words(("a", "A", "b"))
    assert [vocabulary.category("token", k).text for k in range(3)] == ["A_0", "A_1", "B"]


def test_axes_that_share_a_name_with_another_value() -> None:
    vocabulary = words(("x", "y"), digit=("y", "x"))
    assert vocabulary.category("token", 0).text == "X"
    assert vocabulary.category("digit", 0).text == "DIGIT_Y"


def test_what_has_no_label_is_a_number() -> None:
    assert words(("a",)).category("token", -1).text == "NONE"
    assert words(("a",)).category("elsewhere", 3).text == "3"


def test_neighbours_are_ranges() -> None:
    vocabulary = words((*"abcdefg", "<bos>"))
    assert vocabulary.many("token", range(7)).text == "LETTERS"
    assert vocabulary.many("token", [3, 1, 2, 4]).text == "range(B, E + 1)"
    assert vocabulary.many("token", [1, 3]).text == "{B, D}"
    assert vocabulary.many("token", [3, 1], ordered=True).text == "(D, B)"
    assert vocabulary.many("token", [4, 3, 2, 1], ordered=True).text == "(E, D, C, B)"
    assert vocabulary.many("token", [7], ordered=True).text == "(BOS,)"
    assert vocabulary.many("token", []).text == "set()"
    assert vocabulary.many("token", [0, *range(2, 7), -1]).text == "{NONE, A, *range(C, G + 1)}"
    assert vocabulary.many("token", [*range(7), 7], ordered=True).text == "range(A, BOS + 1)"
    assert vocabulary.many("token", [7, *range(7)], ordered=True).text == "(BOS, *LETTERS)"
    assert words(tuple(map(str, range(9)))).many("token", range(2, 7)).text == "range(2, 7)"


def test_only_what_is_used_is_declared() -> None:
    vocabulary = words((*"abcdefg", "<bos>"))
    assert vocabulary.declared({"A", "BOS"}) == ["A, BOS = 0, 7"]
    assert vocabulary.declared({"A", "B", "C"}) == ["A, B, C = range(3)"]
    assert vocabulary.declared({"LETTERS", "G"}) == ["G = 6", "LETTERS = range(7)"]
    assert vocabulary.declared(set()) == []


def test_long_declarations_are_broken() -> None:
    labels = tuple(f"<token number {k}>" for k in range(12))
    lines = words(labels).declared({f"TOKEN_NUMBER_{k}" for k in range(12)})
    assert len(lines) > 1
    assert max(map(len, lines)) <= 100
    scope: dict[str, int] = {}
    exec("\n".join(lines), scope)
    assert [scope[f"TOKEN_NUMBER_{k}"] for k in range(12)] == list(range(12))


def test_nothing_hides_a_word_of_the_language() -> None:
    assert words(("TENSORS", "b")).category("token", 0).text == "TOKEN_TENSORS"
