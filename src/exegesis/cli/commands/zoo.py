"""Lists the networks that come with the package."""

from __future__ import annotations

from typing import Annotated

from exegesis.cli.guard import HOLDS, guarded
from exegesis.cli.options import JSON


@guarded
def zoo(as_json: Annotated[bool, JSON] = False) -> int:
    """List the networks that come with the package.

    ```sh
    exegesis zoo
    exegesis decompile zoo:majority --out runs/majority
    ```
    """
    from exegesis import zoo as shelf
    from exegesis.cli.printing import print_json, print_zoo, terminal

    cards = shelf.cards()
    if as_json:
        print_json([card.model_dump(mode="json") for card in cards])
    else:
        print_zoo(terminal(), cards)
    return HOLDS
