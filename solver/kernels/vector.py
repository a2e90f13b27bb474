# SPDX-License-Identifier: GPL-3.0-or-later
"""A vector of eight float32 for Numba, since LLVM's own search for vectors finds half of what there is.

In a kernel, `load(array, i)` is eight numbers of a contiguous array from the i-th on, and `store` writes them back.
Vectors take part in + - * / and comparisons, with each other and with float32 numbers; a comparison is a mask, which
`where` chooses by and `&` combines. Everything is an LLVM vector instruction of eight lanes, whatever the processor.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, TypeGuard

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

LANES = 8  # numbers in a vector

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_BITS = ir.VectorType(ir.IntType(1), LANES)
_FLAGS = ("contract", "nnan", "ninf", "nsz")  # what is not finite never gets here: `projection` drops it


class _Floats(types.Type):
    def __init__(self) -> None:
        super().__init__("float32x8")


class _Mask(types.Type):
    def __init__(self) -> None:
        super().__init__("maskx8")


floats, mask = _Floats(), _Mask()


@register_model(_Floats)
class _FloatsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FLOATS)


@register_model(_Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _BITS)


def _operands(*kinds: types.Type) -> bool:
    return floats in kinds and all(kind in (floats, types.float32) for kind in kinds)


def _widened(builder: ir.IRBuilder, kind: types.Type, value: ir.Value) -> ir.Value:
    """A vector as it is, a number in all lanes."""
    if kind == floats:
        return value
    single = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(single, ir.Constant(_FLOATS, ir.Undefined), lanes)


def _binary(instruct: Callable[[ir.IRBuilder, ir.Value, ir.Value], ir.Value], result: types.Type) -> Callable:
    def typed(typing_context: Any, a: types.Type, b: types.Type) -> Any:
        if not _operands(a, b):
            return None

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            return instruct(builder, *(_widened(builder, k, v) for k, v in zip((a, b), arguments, strict=True)))

        return result(a, b), generate

    return intrinsic(typed)


def _overload(symbol: Callable, function: Callable) -> None:
    @overload(symbol)
    def choose(a, b):
        if not _operands(a, b):
            return None
        return lambda a, b: function(a, b)


def _arithmetic(instruction: str, *symbols: Callable) -> None:
    function = _binary(lambda builder, a, b: getattr(builder, instruction)(a, b, flags=_FLAGS), floats)
    for symbol in symbols:
        _overload(symbol, function)


def _comparison(sign: str, symbol: Callable) -> None:
    _overload(symbol, _binary(lambda builder, a, b: builder.fcmp_ordered(sign, a, b, flags=_FLAGS), mask))


_arithmetic("fadd", operator.add, operator.iadd)
_arithmetic("fsub", operator.sub, operator.isub)
_arithmetic("fmul", operator.mul, operator.imul)
_arithmetic("fdiv", operator.truediv, operator.itruediv)
_comparison(">", operator.gt)
_comparison(">=", operator.ge)
_comparison("<=", operator.le)


def _extreme(comparison: str) -> Callable:
    def instruct(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
        return builder.select(builder.fcmp_ordered(comparison, a, b, flags=_FLAGS), a, b)

    return _binary(instruct, floats)


maximum, minimum = _extreme(">"), _extreme("<")
"""The larger and the smaller of two, lane by lane."""


def _and(typing_context: Any, a: types.Type, b: types.Type) -> Any:
    return mask(a, b), lambda context, builder, signature, arguments: builder.and_(*arguments)


_both: Callable = intrinsic(_and)


@overload(operator.and_)
def _overloaded_and(a, b):
    return (lambda a, b: _both(a, b)) if a == mask and b == mask else None


def _where(typing_context: Any, condition: types.Type, yes: types.Type, no: types.Type) -> Any:
    if condition != mask or not _operands(yes, no):
        return None

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        chosen = (_widened(builder, k, v) for k, v in zip((yes, no), arguments[1:], strict=True))
        return builder.select(arguments[0], *chosen)

    return floats(condition, yes, no), generate


where: Callable = intrinsic(_where)
"""`yes` in the lanes where the mask is set, `no` in the others."""


def _splat(typing_context: Any, a: types.Type) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        return _widened(builder, a, arguments[0])

    return (floats(a), generate) if a == types.float32 else None


splat: Callable = intrinsic(_splat)
"""One number in all lanes."""


def _reduction(combine: Callable[[ir.IRBuilder, ir.Value, ir.Value], ir.Value]) -> Callable:
    def typed(typing_context: Any, a: types.Type) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            (value,), width = arguments, LANES
            while width > 1:  # the upper half onto the lower, until one lane is left
                width //= 2
                half = ir.VectorType(ir.IntType(32), width)
                lower, upper = (ir.Constant(half, list(range(start, start + width))) for start in (0, width))
                value = combine(
                    builder, builder.shuffle_vector(value, value, lower), builder.shuffle_vector(value, value, upper)
                )
            return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

        return (types.float32(a), generate) if a == floats else None

    return intrinsic(typed)


total: Callable = _reduction(lambda builder, a, b: builder.fadd(a, b, flags=_FLAGS))
"""The sum of the eight lanes."""

largest: Callable = _reduction(
    lambda builder, a, b: builder.select(builder.fcmp_ordered(">", a, b, flags=_FLAGS), a, b)
)
"""The largest of the eight lanes."""


def _pointer(context: Any, builder: ir.IRBuilder, kind: types.Array, array: ir.Value, index: ir.Value) -> ir.Value:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index], inbounds=True), _FLOATS.as_pointer())


def _holds_floats(kind: types.Type) -> TypeGuard[types.Array]:
    return isinstance(kind, types.Array) and kind.dtype == types.float32 and kind.layout == "C"


def _load(typing_context: Any, array: types.Type, index: types.Type) -> Any:
    if not (_holds_floats(array) and isinstance(index, types.Integer)):
        return None

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        return builder.load(_pointer(context, builder, array, *arguments), align=4)

    return floats(array, index), generate


def _store(typing_context: Any, array: types.Type, index: types.Type, value: types.Type) -> Any:
    if not (_holds_floats(array) and isinstance(index, types.Integer) and value == floats):
        return None

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        builder.store(arguments[2], _pointer(context, builder, array, *arguments[:2]), align=4)
        return context.get_dummy_value()

    return types.void(array, index, value), generate


load: Callable = intrinsic(_load)
"""Eight numbers of a contiguous float32 array, whatever its shape, from the index-th on; never checked."""

store: Callable = intrinsic(_store)
"""Write such eight."""

_INTEGERS = ir.VectorType(ir.IntType(32), LANES)
_FRACTION_BITS = 23  # of a float32


def _integers(*values: int) -> ir.Constant:
    return ir.Constant(_INTEGERS, list(values) * (LANES // len(values)))


def _of_one(instruct: Callable[[ir.IRBuilder, ir.Value], ir.Value]) -> Callable:
    def typed(typing_context: Any, a: types.Type) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            return instruct(builder, arguments[0])

        return (floats(a), generate) if a == floats else None

    return intrinsic(typed)


def _exponent_bits(builder: ir.IRBuilder, a: ir.Value) -> ir.Value:
    """The exponent that leaves a fraction between sqrt(1/2) and sqrt(2), as integers."""
    above = builder.sub(builder.bitcast(a, _INTEGERS), _integers(0x3F3504F3))  # the bits of sqrt(1/2)
    return builder.ashr(above, _integers(_FRACTION_BITS))


def _with_exponent(builder: ir.IRBuilder, a: ir.Value, exponent: ir.Value) -> ir.Value:
    shifted = builder.shl(exponent, _integers(_FRACTION_BITS))
    return builder.bitcast(builder.add(builder.bitcast(a, _INTEGERS), shifted), _FLOATS)


def _fraction(builder: ir.IRBuilder, a: ir.Value) -> ir.Value:
    return _with_exponent(builder, a, builder.neg(_exponent_bits(builder, a)))


def _rounded(builder: ir.IRBuilder, a: ir.Value) -> ir.Value:
    kind = ir.FunctionType(_FLOATS, [_FLOATS])
    return builder.call(builder.module.declare_intrinsic(f"llvm.rint.v{LANES}f32", fnty=kind), [a])


exponent: Callable = _of_one(lambda builder, a: builder.sitofp(_exponent_bits(builder, a), _FLOATS))
"""The whole number e of a = f 2^e with f between sqrt(1/2) and sqrt(2), for normal positive a."""

fraction: Callable = _of_one(_fraction)
"""The f of `exponent`."""

rounded: Callable = _of_one(_rounded)
"""The nearest whole number."""

scaled: Callable = _binary(lambda builder, a, n: _with_exponent(builder, a, builder.fptosi(n, _INTEGERS)), floats)
"""a 2^n for whole numbers n; a and the result must be normal."""
