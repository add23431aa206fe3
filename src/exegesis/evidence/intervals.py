"""Confidence bounds for proportions."""

from scipy.special import betaincinv


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact two-sided confidence interval for a binomial proportion.

    Each bound is the proportion under which a result at least as extreme as the observed one has probability
    ``(1 - confidence) / 2``; the interval covers the true proportion with at least the stated confidence, whatever
    that proportion is. It supposes independent trials.

    Source: C. J. Clopper and E. S. Pearson, *Biometrika* 26 (1934), in its beta-quantile form.

    Args:
        successes: how many of the trials succeeded, ``0 <= successes <= n``.
        n: how many trials there were, at least 1.
        confidence: strictly between 0 and 1.

    Returns:
        The lower and the upper bound, ``0 <= lower <= successes / n <= upper <= 1``.

    Raises:
        ValueError: an argument is outside its range.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} successes in {n} trials is not a binomial result")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"a confidence level lies strictly between 0 and 1, not at {confidence}")
    tail = (1.0 - confidence) / 2.0
    lower = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    upper = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1.0 - tail))
    return lower, upper
