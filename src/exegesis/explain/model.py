"""A network as a differentiable function of real inputs, and the number that is explained of it.

Token networks are functions of the embeddings [n, s, d] of their tokens: ids have no gradient. The user's module is
run as it is, with its own weights or with others in their place; nothing of it is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from exegesis.behavior import Readout
from exegesis.explain.inputs import Inputs
from exegesis.explain.target import Explained, Reading, Target
from exegesis.ir import Graph, InputError
from exegesis.runtime import Executor, Network, output_tensor
from exegesis.runtime.hugging_face import without_advice


class NotDifferentiableError(InputError):
    """No gradient goes from the explained number to the input."""


@runtime_checkable
@runtime_checkable
class Model(Protocol):
    """Outputs as a differentiable function of real inputs.

    Attributes:
        name, fingerprint: what is explained, and the SHA-256 of its weights.
        device: where it computes.
    """

    name: str
    fingerprint: str
    device: torch.device

    def start(self, inputs: Inputs) -> Float[Tensor, "n ..."]:
        """The real inputs [n, ...] at which it is explained: `inputs.x`, or the embeddings [n, s, d] of the tokens."""
        ...

    def __call__(self, x: Float[Tensor, "m ..."], inputs: Inputs, rows: Int[Tensor, " m"]) -> Float[Tensor, "m ..."]:
        """Outputs [m, o], [m, s, o] or a layer's values, of real inputs [m, ...] that stand for these rows."""
        ...


class _ReachedError(Exception):
    """The wanted layer has been computed; the rest is not needed."""


class NetworkModel:
    """The user's module.

    Args:
        network: the network.
        layer: the path of a module inside it (`conv2`, `layers.0`) whose values are the outputs; None for none.
        weights: other parameters and buffers by name, in place of its own.

    Raises:
        InputError: no module of that path.
    """

    def __init__(self, network: Network, layer: str | None = None, weights: Mapping[str, Tensor] | None = None) -> None:
        self.network = network
        self.layer = layer
        self.name = network.name if layer is None else f"{network.name} at {layer}"
        self.fingerprint = network.fingerprint
        self.device = network.device
        if layer is not None and layer not in dict(network.module.named_modules()):
            known = ", ".join(name for name, _ in network.module.named_modules() if name)
            raise InputError(f"The network {network.name} has no module {layer!r}; it has {known}.")
        self.weights = {name: value.detach() for name, value in network.module.state_dict(keep_vars=True).items()}
        self.weights.update(weights or {})
        self._embedding: nn.Embedding | None = None

    def with_weights(self, weights: Mapping[str, Tensor]) -> NetworkModel:
        """The same network with other weights in the place of some."""
        return NetworkModel(self.network, self.layer, {**self.weights, **weights})

    def start(self, inputs: Inputs) -> Tensor:
        """See `Model.start`."""
        if inputs.x is not None:
            return inputs.x.to(self.device)
        embedding = self._embedding_of(inputs)
        assert inputs.tokens is not None
        name = next(n for n, m in self.network.module.named_modules() if m is embedding)
        return functional_call(  # type: ignore[no-any-return]
            embedding, {"weight": self.weights[f"{name}.weight".lstrip(".")]}, (inputs.tokens.to(self.device),)
        ).detach()

    def __call__(self, x: Tensor, inputs: Inputs, rows: Tensor) -> Tensor:
        """See `Model.__call__`."""
        if inputs.tokens is None:
            return self._run((x,), {})
        with self._replacing(self._embedding_of(inputs), x):
            return self._run(*self._token_arguments(inputs, rows))

    def _token_arguments(self, inputs: Inputs, rows: Tensor) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        assert inputs.tokens is not None
        ids = inputs.tokens[rows.cpu()].to(self.device)
        if not self.network.takes_tokens:
            return (ids,), {}
        named = {"input_ids": ids}
        if self.network.takes_positions and inputs.positions is not None:
            named["position_ids"] = inputs.positions[rows.cpu()].to(self.device)
        return (), named

    def _run(self, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> Tensor:
        found: list[object] = []

        def keep(module: nn.Module, given: object, out: object) -> None:
            found.append(out)
            raise _ReachedError

        with ExitStack() as stack:
            stack.enter_context(without_advice())
            if self.layer is not None:
                hook = self.network.module.get_submodule(self.layer).register_forward_hook(keep)
                stack.callback(hook.remove)
            try:
                found.append(functional_call(self.network.module, self.weights, args, kwargs))
            except _ReachedError:
                pass
            except (RuntimeError, IndexError, ValueError, TypeError) as error:
                shapes = ", ".join(str(list(x.shape)) for x in (*args, *kwargs.values()))
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise InputError(f"The network {self.name} fails on inputs of shape {shapes}: {reason}") from error
        return output_tensor(found[0], self.name)

    def _embedding_of(self, inputs: Inputs) -> nn.Embedding:
        """The module that embeds the tokens: the one that is given the very ids."""
        if self._embedding is None:
            one = inputs.take(1)
            args, kwargs = self._token_arguments(one, torch.zeros(1, dtype=torch.long))
            ids = kwargs["input_ids"] if kwargs else args[0]
            seen: list[nn.Embedding] = []

            def look(module: nn.Module, given: tuple[Any, ...], out: object) -> None:
                if given and isinstance(given[0], Tensor) and given[0].shape == ids.shape and given[0].equal(ids):
                    seen.append(module)  # type: ignore[arg-type]

            embeddings = [m for m in self.network.module.modules() if isinstance(m, nn.Embedding)]
            hooks = [m.register_forward_hook(look) for m in embeddings]
            try:
                with torch.no_grad():
                    NetworkModel(self.network)._run(args, kwargs)
            finally:
                for hook in hooks:
                    hook.remove()
            known = self.network.vocabulary_size
            right = [m for m in seen if known is None or m.num_embeddings == known] or seen
            if not right:
                raise NotDifferentiableError(
                    f"The network {self.name} embeds its tokens by no nn.Embedding, so nothing real stands for them."
                )
            self._embedding = right[0]
        return self._embedding

    @contextmanager
    def _replacing(self, embedding: nn.Embedding, x: Tensor) -> Iterator[None]:
        hook = embedding.register_forward_hook(lambda module, given, out: x)
        try:
            yield
        finally:
            hook.remove()


class ProgramModel:
    """A value of a program over arrays.

    Args:
        graph: the program.
        node: the id of the value; None for the program's first output.
        name: how to call it.

    Raises:
        InputError: no such value, or a program that does not read one array.
    """

    def __init__(self, graph: Graph, node: str | None = None, name: str = "the program") -> None:
        inputs = graph.inputs
        if len(inputs) != 1 or inputs[0].op != "input.array":
            raise InputError(
                f"{name} reads {', '.join(n.op for n in inputs)}, where one array of real numbers is needed."
            )
        if node is not None and node not in graph.by_id:
            raise InputError(f"{name} holds no value {node!r}.")
        self.graph = graph
        self.node = node or graph.outputs[0]
        self.name = name if node is None else f"{name} at {node}"
        self.fingerprint = ""
        self.device = torch.device("cpu")
        self._input = inputs[0].id
        self._executor = Executor(graph)

    def start(self, inputs: Inputs) -> Tensor:
        """See `Model.start`."""
        if inputs.x is None:
            raise InputError(f"{self.name} reads arrays, not tokens.")
        return inputs.x

    def __call__(self, x: Tensor, inputs: Inputs, rows: Tensor) -> Tensor:
        """See `Model.__call__`."""
        value = self._executor.run({self._input: x}, [self.node], gradients=torch.is_grad_enabled())[self.node]
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise NotDifferentiableError(f"{self.name} is no real number, so no gradient leads to it.")
        return value[:, None] if value.ndim == 1 else value


class Objective:
    """The number that is explained of each row, as a function of real inputs.

    Args:
        model: what is explained.
        inputs: on which rows.
        explained: which number.
        readout: how outputs are read as answers; None where nobody says so.

    Attributes:
        start: the real inputs [n, ...] of the rows.
        outputs: the model's outputs there.
        reading: reads the explained number off outputs.
        answers: which output is explained of each row, [n]; -1 where it is no output (a unit, a direction).

    Raises:
        TargetError: what is asked for does not exist.
    """

    def __init__(
        self, model: Model, inputs: Inputs, explained: Explained | None = None, readout: Readout | None = None
    ) -> None:
        self.model = model
        self.inputs = inputs
        self.readout = readout
        self.explained: Explained = Target() if explained is None else explained
        self.start = model.start(inputs)
        self.outputs = self._all_outputs()
        self.reading: Reading = self.explained.bind(self.outputs, inputs.at, readout)
        self.answers: Tensor = (
            self.explained.answers(self.outputs, inputs.at, readout)
            if isinstance(self.explained, Target)
            else torch.full((len(inputs),), -1)
        )

    def __len__(self) -> int:
        return len(self.inputs)

    def under(self, model: Model) -> Objective:
        """The same outputs of the same rows, explained of another model: as a rule the network with other weights."""
        made = object.__new__(Objective)
        made.__dict__.update(self.__dict__)
        made.model = model
        made.start = model.start(self.inputs) if self.inputs.tokens is not None else self.start
        return made

    def starting_at(self, x: Float[Tensor, "n ..."]) -> Objective:
        """The same number at other real inputs: other arrays, or other embeddings of the same tokens.

        What is explained of tokens stays bound to the rows as they were.
        """
        if self.inputs.tokens is None:
            return Objective(self.model, replace(self.inputs, x=x), self.explained, self.readout)
        made = object.__new__(Objective)
        made.__dict__.update(self.__dict__)
        made.start = x
        made.outputs = made._all_outputs()
        return made

    def values(self, x: Float[Tensor, "m ..."], rows: Int[Tensor, " m"]) -> Float[Tensor, " m"]:
        """The explained number of inputs that stand for these rows, [m]; differentiable."""
        return self.reading(self.model(x, self.inputs, rows), rows)

    def gradient(
        self, x: Float[Tensor, "m ..."], rows: Int[Tensor, " m"]
    ) -> tuple[Float[Tensor, " m"], Float[Tensor, "m ..."]]:
        """The explained numbers [m], and their gradients with respect to the inputs [m, ...].

        Raises:
            NotDifferentiableError: no gradient reaches the input.
        """
        at = x.detach().requires_grad_(True)
        with torch.enable_grad():
            values = self.values(at, rows)
            if not values.requires_grad:
                raise NotDifferentiableError(self._blocked())
            (found,) = torch.autograd.grad(values.sum(), at, allow_unused=True)
        if found is None:
            raise NotDifferentiableError(self._blocked())
        return values.detach(), found

    def _blocked(self) -> str:
        return (
            f"No gradient goes from what is explained to the input of {self.model.name}: a step between them (a "
            "comparison, an index, a rounding) is not differentiable."
        )

    @torch.no_grad()
    def _all_outputs(self, chunk: int = 64) -> Tensor:
        rows = torch.arange(len(self.inputs))
        found = [self.model(self.start[part], self.inputs, part) for part in torch.split(rows, chunk)]
        out = torch.cat(found)
        if not bool(out.isfinite().all()):
            row = int(self.inputs.rows[int(np.argmax(~out.isfinite().flatten(1).all(1).cpu().numpy()))])
            raise InputError(f"The outputs of {self.model.name} on row {row} are NaN or infinite.")
        return out


Step = Callable[[Tensor, Tensor], Any]
