"""Input importance: what each part of an input does for a number that the network gives."""

from __future__ import annotations

from collections.abc import Callable

from exegesis.explain.saliency.attention_rollout import AttentionRollout
from exegesis.explain.saliency.grad_cam import GradCam
from exegesis.explain.saliency.gradient import Gradient
from exegesis.explain.saliency.gradient_shap import GradientShap
from exegesis.explain.saliency.gradient_x_input import GradientXInput
from exegesis.explain.saliency.guided_backprop import GuidedBackprop
from exegesis.explain.saliency.integrated_gradients import IntegratedGradients
from exegesis.explain.saliency.kernel_shap import KernelShap
from exegesis.explain.saliency.lrp import LrpEpsilon, LrpGamma
from exegesis.explain.saliency.method import Found, Method, Setting, UndefinedMethodError
from exegesis.explain.saliency.occlusion import Occlusion
from exegesis.explain.saliency.shapley_sampling import ShapleySampling
from exegesis.explain.saliency.smoothgrad import SmoothGrad
from exegesis.explain.saliency.token_importance import TokenImportance
from exegesis.ir import InputError

# In the order in which they are listed to users. A new method is one file and one line here.
METHODS: tuple[Callable[[], Method], ...] = (
    Gradient,
    GradientXInput,
    IntegratedGradients,
    SmoothGrad,
    GradientShap,
    GradCam,
    GuidedBackprop,
    LrpEpsilon,
    LrpGamma,
    Occlusion,
    ShapleySampling,
    KernelShap,
    TokenImportance,
    AttentionRollout,
)


def method(name: str) -> Method:
    """The method of a name, as it comes. Raises InputError where there is none."""
    known = {made.name: made for made in (make() for make in METHODS)}
    if name not in known:
        raise InputError(f"There is no method {name!r}; there are {', '.join(known)}.")
    return known[name]


__all__ = [
    "METHODS",
    "AttentionRollout",
    "Found",
    "GradCam",
    "Gradient",
    "GradientShap",
    "GradientXInput",
    "GuidedBackprop",
    "IntegratedGradients",
    "KernelShap",
    "LrpEpsilon",
    "LrpGamma",
    "Method",
    "Occlusion",
    "Setting",
    "ShapleySampling",
    "SmoothGrad",
    "TokenImportance",
    "UndefinedMethodError",
    "method",
]
