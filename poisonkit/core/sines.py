"""The sine and the cosine in whole numbers, so that no machine's libm has a say in what a trigger is."""

from fractions import Fraction

_BITS = 96
_UNIT = 1 << _BITS
_PI = 248902613312231085230521944622  # floor(π · 2^96)


def sine(turn: Fraction) -> Fraction:
    """sin(2π·turn), off by less than 2^-80, and exact where it is 0 or ±1.

    By symmetry the angle is brought into the first eighth of a turn, where Taylor's series in whole numbers of 2^-96
    ends after some twenty terms.
    """
    turn %= 1
    if turn >= Fraction(1, 2):
        return -sine(turn - Fraction(1, 2))
    if turn > Fraction(1, 4):
        turn = Fraction(1, 2) - turn
    cosine = turn > Fraction(1, 8)
    if cosine:
        turn = Fraction(1, 4) - turn
    x = 2 * _PI * turn.numerator // turn.denominator
    term, n = (_UNIT, 0) if cosine else (x, 1)
    total, sign = 0, 1
    while term:
        total += sign * term
        term = term * x // _UNIT * x // _UNIT // ((n + 1) * (n + 2))
        sign, n = -sign, n + 2
    return Fraction(total, _UNIT)


def cosine(turn: Fraction) -> Fraction:
    """cos(2π·turn), as exact as `sine`."""
    return sine(turn + Fraction(1, 4))


def of_degrees(degrees: Fraction, bits: int) -> tuple[int, int]:
    """Return cosine and sine of an angle, times 2^bits, to the nearest whole numbers.

    With 64 bits and fewer the few values that are rational (1/2 of 60°) are exact.
    """
    turn = degrees / 360
    return round(cosine(turn) * (1 << bits)), round(sine(turn) * (1 << bits))
