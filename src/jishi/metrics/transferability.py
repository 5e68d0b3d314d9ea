"""How well states fit labels before anything is trained on them: LogME, the log of maximum evidence (arXiv:2102.11005)."""

import numpy as np

ROUNDS = 50
SETTLED = 1e-4  # relative change of the ratio of both precisions
LITTLE = 1e-5  # added to what is divided by


def logme(states: np.ndarray, targets: np.ndarray) -> float:
    """The evidence a row of `targets` (N classes, or N or N × K numbers) given `states` (N, D); the higher, the better.

    The evidence of a Bayesian linear regression on each column, a class being a column of 0 and 1, with the precisions of
    weights and noise that make it greatest, a row, and the mean over columns. To be compared between states of the same rows.
    """
    columns = _one_hot(targets) if np.issubdtype(targets.dtype, np.integer) else targets.reshape(len(targets), -1)
    left, singular, _ = np.linalg.svd(states.astype(np.float64), full_matrices=False)
    spectrum = singular**2
    found = [_evidence(left.T @ column, float(column @ column), spectrum, states.shape) for column in columns.T]
    return float(np.mean(found))


def _one_hot(labels: np.ndarray) -> np.ndarray:
    return (labels[:, None] == np.unique(labels)).astype(np.float64)


def _evidence(projected: np.ndarray, power: float, spectrum: np.ndarray, shape: tuple[int, ...]) -> float:
    """Of one column: `projected` on the left singular vectors, whose square sum is `power`."""
    rows, width = shape
    squares = projected**2
    beyond = max(power - squares.sum(), 0.0)  # what no weights can explain
    weights = noise = 1.0  # precisions
    for _ in range(ROUNDS):
        ratio = weights / noise
        effective = (spectrum / (spectrum + ratio)).sum()
        norm = (spectrum * squares / (spectrum + ratio) ** 2).sum()
        error = (squares * (ratio / (spectrum + ratio)) ** 2).sum() + beyond
        weights, noise = effective / (norm + LITTLE), (rows - effective) / (error + LITTLE)
        if abs(weights / noise - ratio) <= SETTLED * ratio:
            break
    log_determinant = np.log(weights + noise * spectrum).sum() + (width - len(spectrum)) * np.log(weights)
    evidence = width * np.log(weights) + rows * np.log(noise / (2 * np.pi)) - log_determinant
    return float((evidence - noise * error - weights * norm) / (2 * rows))
