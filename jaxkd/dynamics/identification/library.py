"""Candidate terms of an equation, as SymPy expressions in named variables, and their values as arrays."""

import itertools
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import sympy
from jaxtyping import Array, Float


def polynomials(variables: Sequence[sympy.Symbol], *, degree: int) -> tuple[sympy.Expr, ...]:
    """Monomials up to a total degree: 1, x, y, x², x y, y², ...

    Args:
        variables: states and inputs.
        degree: highest total degree, 0 or more.

    Returns:
        Terms in order of their degree.

    Raises:
        ValueError: a degree below 0.

    Source: Brunton, Proctor & Kutz 2016 (doi 10.1073/pnas.1517384113), equation 5.  Deviation: none.

    Example:
        >>> polynomials(sympy.symbols("x y"), degree=2)
        (1, x, y, x**2, x*y, y**2)
    """
    if degree < 0:
        raise ValueError(f"degree must be >= 0, got {degree}.")
    return tuple(
        sympy.Mul(*factors)
        for total in range(degree + 1)
        for factors in itertools.combinations_with_replacement(variables, total)
    )


def trigonometric(variables: Sequence[sympy.Symbol], *, frequencies: Sequence[float] = (1,)) -> tuple[sympy.Expr, ...]:
    """sin(w x) and cos(w x) of each variable.

    Args:
        variables: states and inputs.
        frequencies: w, in radians per unit of the variable.

    Returns:
        Terms in order of their frequency.

    Source: Brunton, Proctor & Kutz 2016, equation 5.  Deviation: none.

    Example:
        >>> trigonometric(sympy.symbols("x,"), frequencies=(1, 2))
        (sin(x), cos(x), sin(2*x), cos(2*x))
    """
    angles = [frequency * variable for frequency in frequencies for variable in variables]
    return tuple(wave(angle) for angle in angles for wave in (sympy.sin, sympy.cos))


def exponentials(variables: Sequence[sympy.Symbol], *, rates: Sequence[float] = (1, -1)) -> tuple[sympy.Expr, ...]:
    """exp(r x) of each variable.

    Args:
        variables: states and inputs.
        rates: r, per unit of the variable.

    Returns:
        Terms in order of their rate.

    Source: Brunton, Proctor & Kutz 2016, equation 5.  Deviation: none.

    Example:
        >>> exponentials(sympy.symbols("x y"), rates=(-1,))
        (exp(-x), exp(-y))
    """
    return tuple(sympy.exp(rate * variable) for rate in rates for variable in variables)


def rationals(variables: Sequence[sympy.Symbol], *, half: float = 1.0, power: int = 1) -> tuple[sympy.Expr, ...]:
    """Hill or Michaelis-Menten term `x^n / (h^n + |x|^n)` of each variable, without a pole on the real line.

    Args:
        variables: states and inputs.
        half: h > 0, the value at which the term is 1/2, in the variable's unit.
        power: n, 1 or more.

    Returns:
        One term per variable.

    Raises:
        ValueError: a half that is not positive, which would put a pole at 0, or a power below 1.

    Source: Hill 1910 and Michaelis & Menten 1913, as terms in Mangan et al. 2016 (doi 10.1109/TMBMC.2016.2633265).
    Deviation: `|x|` in the denominator, so that a state that noise makes negative meets no pole.

    Example:
        >>> rationals(sympy.symbols("x,"), half=2, power=1)
        (x/(Abs(x) + 2),)
    """
    if not half > 0 or power < 1:
        raise ValueError(f"half must be > 0 and power >= 1, got {half} and {power}.")
    return tuple(variable**power / (half**power + sympy.Abs(variable) ** power) for variable in variables)


def values(
    terms: Sequence[sympy.Expr], variables: Sequence[sympy.Symbol]
) -> Callable[[Float[Array, "*points variables"]], Float[Array, "*points terms"]]:
    """Compile terms into a differentiable function of the variables' values, for `jit` and `vmap`.

    Args:
        terms: SymPy expressions of functions that JAX has, from this module or your own.
        variables: symbols in the order of the last axis of the function's argument.

    Returns:
        A function of `[*points, variables]` to `[*points, terms]`, of the same dtype.

    Raises:
        ValueError: a symbol that is not a variable, equal terms, or no terms.

    Source: inferred.  Deviation: none.

    Example:
        >>> x, y = sympy.symbols("x y")
        >>> values((sympy.Integer(1), x * y, sympy.sin(x)), (x, y))(jnp.array([0.0, 2.0])).tolist()
        [1.0, 0.0, 0.0]
    """
    known = set(variables)
    for term in terms:
        if unknown := sorted(str(symbol) for symbol in term.free_symbols - known):
            names = ", ".join(str(variable) for variable in variables)
            raise ValueError(f"terms must be made of {names}, got {term}, which has {', '.join(unknown)}.")
    if not terms or len(set(terms)) < len(terms):
        twice = sorted({str(term) for term in terms if terms.count(term) > 1})
        raise ValueError(f"terms must be at least one and differ, got {len(terms)} with {', '.join(twice)} twice.")
    evaluate = sympy.lambdify(list(variables), list(terms), modules="jax", cse=True)

    def of(points: Float[Array, "*points variables"]) -> Float[Array, "*points terms"]:
        columns = evaluate(*(points[..., index] for index in range(len(variables))))
        # A constant term evaluates to a plain number.
        return jnp.stack([jnp.broadcast_to(jnp.asarray(one, points.dtype), points.shape[:-1]) for one in columns], -1)

    return of
