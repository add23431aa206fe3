"""Progress as it is drawn."""

import io

from rich.console import Console

from exegesis.cli.watch import Watch, watching
from exegesis.ir.progress import Progress, Silent


def draw(progress: Progress) -> None:
    progress.stage("passes", 2)
    progress.pass_started("raise_heads")
    progress.pass_done("raise_heads", "3 of 4 applied, 40 → 12 nodes")
    progress.pass_started("group_functions")
    progress.advance(1)
    progress.pass_done("group_functions", "")


def test_a_file_gets_one_plain_line_a_pass() -> None:
    text = io.StringIO()
    with Watch(Console(file=text, width=80)) as watch:
        draw(watch)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    assert lines == ["passes", "  raise heads           3 of 4 applied, 40 → 12 nodes", "  group functions"]


def test_a_terminal_sees_the_pass_at_work() -> None:
    text = io.StringIO()
    with Watch(Console(file=text, width=80, force_terminal=True)) as watch:
        watch.stage("passes", 3)
        watch.pass_started("raise_heads")
        watch._live.refresh()  # type: ignore[union-attr]
        assert "raise heads" in text.getvalue()
        assert "1/3" in text.getvalue()
        watch.pass_done("raise_heads", "done")
    assert "done" in text.getvalue()


def test_what_fails_leaves_the_terminal_in_order() -> None:
    text = io.StringIO()
    console = Console(file=text, width=80, force_terminal=True)
    try:
        with Watch(console) as watch:
            watch.pass_started("raise_heads")
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert text.getvalue().count("\x1b[?25l") == text.getvalue().count("\x1b[?25h") == 1


def test_quiet_is_silent() -> None:
    with watching(quiet=True) as progress:
        assert isinstance(progress, Silent)
    with watching(quiet=False) as progress:
        assert isinstance(progress, Watch)
