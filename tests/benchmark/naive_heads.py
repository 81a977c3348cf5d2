"""Plain twins of the measures of heads: one text, one head, one pair at a time, as docs/heads.md words it."""

import math

import numpy as np


def cosine(a, b) -> float:
    norms = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / norms if norms > 1e-20 else 0.0


def pearson(a, b) -> float:
    return cosine([x - sum(a) / len(a) for x in a], [x - sum(b) / len(b) for x in b])


def similarity(attention, length, metric, kind) -> list[float]:
    """Of one text: attention (H, T, T) → one number a head."""
    measure = {"cosine": cosine, "pearson": pearson}[metric]
    if kind == "row":
        vectors = [[float(x) for x in head[0][:length]] for head in attention]
    else:
        vectors = [[float(head[i][j]) for i in range(length) for j in range(length)] for head in attention]
    return mean_over_others(vectors, measure)


def mean_over_others(vectors, measure) -> list[float]:
    heads = range(len(vectors))
    return [
        sum(measure(vectors[h], vectors[other]) for other in heads if other != h) / (len(vectors) - 1) for h in heads
    ]


def standardised(value, length, values, lengths, leave_out=None, nearest=200) -> list[float]:
    """One row (F,) beside the rows nearest in length but for `leave_out`."""
    rows = [row for row in range(len(values)) if row != leave_out]
    rows.sort(key=lambda row: abs(int(lengths[row]) - int(length)))
    chosen = rows[:nearest]
    result = []
    for f in range(len(value)):
        column = [float(values[row][f]) for row in chosen]
        mean = sum(column) / len(column)
        deviation = math.sqrt(sum((x - mean) ** 2 for x in column) / len(column))
        result.append((float(value[f]) - mean) / (deviation + 1e-3))
    return result


def mahalanobis(row, rows) -> float:
    rows = np.asarray(rows)
    covariance = np.cov(rows.T, bias=True).reshape(rows.shape[1], -1) + 0.1 * np.eye(rows.shape[1])
    away = np.asarray(row) - rows.mean(0)
    return math.sqrt(away @ np.linalg.solve(covariance, away))


def auroc(positive, negative) -> float:
    won = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    return won / (len(positive) * len(negative))


def tpr(positive, negative, rate) -> float:
    best = 0.0
    for threshold in [math.inf, *positive, *negative]:
        if sum(n >= threshold for n in negative) <= rate * len(negative):
            best = max(best, sum(p >= threshold for p in positive) / len(positive))
    return best


def precision(positive, negative, count) -> float:
    """Group by group of equal scores, from the top."""
    found, room = 0.0, min(count, len(positive) + len(negative))
    for score in sorted({*positive, *negative}, reverse=True):
        group = positive.count(score) + negative.count(score)
        taken = min(room, group)
        found += taken * positive.count(score) / group
        room -= taken
    return found / min(count, len(positive) + len(negative))
