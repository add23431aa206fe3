"""What is known about a network of the zoo, as its training script measured it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exegesis.ir import InputError


class Card(BaseModel):
    """The card of a network.

    Args:
        name: its name in the zoo.
        what: what it does.
        architecture: how it is built.
        data: where its inputs come from.
        parameters: how many numbers were trained.
        steps, seed, command: how it was trained.
        seconds: processor time of the training, on one core.
        accuracy: share of scored answers that are the task's own, by split.
        torch: the version of PyTorch it was trained with.
        reproduces: what another run of the command gives.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: str
    what: str
    architecture: str
    data: str
    parameters: Annotated[int, Field(ge=1)]
    steps: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]
    command: str
    seconds: Annotated[float, Field(ge=0)]
    accuracy: dict[str, Annotated[float, Field(ge=0, le=1)]]
    torch: str
    reproduces: str

    @classmethod
    def read(cls, path: Path) -> Card:
        """The card in a file. Raises InputError where there is none or it says something else."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}).") from None
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(str(part) for part in first["loc"]) or "it"
            raise InputError(f"{path} is no card of a network: {field}: {first['msg']}.") from None
