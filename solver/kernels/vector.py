# SPDX-License-Identifier: GPL-3.0-or-later
"""Vectors of eight float32 or eight float64 for Numba, since LLVM's own search for vectors finds half of what there is.

In a kernel, `load(array, i)` is eight numbers of a contiguous array from the i-th on, and `store` writes them back.
Vectors take part in + - * / and comparisons, with each other and with numbers of their type; a comparison is a mask,
which `where` chooses by and `&` combines. Everything is an LLVM vector instruction of eight lanes, whatever the
processor.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, TypeGuard

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

LANES = 8  # numbers in a vector

_BITS = ir.VectorType(ir.IntType(1), LANES)


class _Vector(types.Type):
    """Eight numbers of a type; arithmetic assumes what the flags say of them."""

    def __init__(self, number: Any, ir_number: ir.Type, flags: tuple[str, ...]) -> None:
        super().__init__(f"{number}x{LANES}")
        self.number, self.ir, self.flags = number, ir.VectorType(ir_number, LANES), flags
        self.size = number.bitwidth // 8  # bytes of a number


class _Mask(types.Type):
    def __init__(self) -> None:
        super().__init__("maskx8")


# float32 is optimized as if all were finite: tests for NaN and infinity are in float64, or of what kernels return.
floats = _Vector(types.float32, ir.FloatType(), ("contract", "nnan", "ninf", "nsz"))
doubles = _Vector(types.float64, ir.DoubleType(), ("contract",))
mask = _Mask()
_VECTORS = {types.float32: floats, types.float64: doubles}


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, kind.ir)


@register_model(_Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _BITS)


def _vector(*kinds: types.Type) -> _Vector | None:
    """The type of vector among the operands, None where there is none or the others are neither that nor its
    number.
    """
    for vector in _VECTORS.values():
        if vector in kinds and all(kind in (vector, vector.number) for kind in kinds):
            return vector
    return None


def _lanes(*lanes: int) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes))


def _widened(builder: ir.IRBuilder, vector: _Vector, kind: types.Type, value: ir.Value) -> ir.Value:
    """A vector as it is, a number in all lanes."""
    if kind == vector:
        return value
    nothing = ir.Constant(vector.ir, ir.Undefined)
    single = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(single, nothing, _lanes(*[0] * LANES))


def _binary(
    instruct: Callable[[ir.IRBuilder, _Vector, ir.Value, ir.Value], ir.Value],
    result: Any = None,
    only: _Vector | None = None,
) -> Callable:
    """An operation of two vectors, or of one and a number, whose result is such a vector where no type is given; of
    any vectors, or of only one type.
    """

    def typed(typing_context: Any, a: types.Type, b: types.Type) -> Any:
        vector = _vector(a, b)
        if vector is None or only not in (None, vector):
            return None

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            operands = (_widened(builder, vector, k, v) for k, v in zip((a, b), arguments, strict=True))
            return instruct(builder, vector, *operands)

        return (result or vector)(a, b), generate

    return intrinsic(typed)


def _overload(symbol: Callable, function: Callable) -> None:
    @overload(symbol)
    def choose(a, b):
        if _vector(a, b) is None:
            return None
        return lambda a, b: function(a, b)


def _arithmetic(instruction: str, *symbols: Callable) -> None:
    function = _binary(lambda builder, vector, a, b: getattr(builder, instruction)(a, b, flags=vector.flags))
    for symbol in symbols:
        _overload(symbol, function)


def _comparison(sign: str, symbol: Callable) -> None:
    """False where one is not a number."""
    _overload(symbol, _binary(lambda builder, vector, a, b: builder.fcmp_ordered(sign, a, b, flags=vector.flags), mask))


_arithmetic("fadd", operator.add, operator.iadd)
_arithmetic("fsub", operator.sub, operator.isub)
_arithmetic("fmul", operator.mul, operator.imul)
_arithmetic("fdiv", operator.truediv, operator.itruediv)
_comparison(">", operator.gt)
_comparison(">=", operator.ge)
_comparison("<", operator.lt)
_comparison("<=", operator.le)


def _extreme(comparison: str) -> Callable:
    def instruct(builder: ir.IRBuilder, vector: _Vector, a: ir.Value, b: ir.Value) -> ir.Value:
        return builder.select(builder.fcmp_ordered(comparison, a, b, flags=vector.flags), a, b)

    return _binary(instruct)


maximum, minimum = _extreme(">"), _extreme("<")
"""The larger and the smaller of two, lane by lane."""


def _and(typing_context: Any, a: types.Type, b: types.Type) -> Any:
    return mask(a, b), lambda context, builder, signature, arguments: builder.and_(*arguments)


_both: Callable = intrinsic(_and)


@overload(operator.and_)
def _overloaded_and(a, b):
    return (lambda a, b: _both(a, b)) if a == mask and b == mask else None


def _where(typing_context: Any, condition: types.Type, yes: types.Type, no: types.Type) -> Any:
    vector = _vector(yes, no)
    if condition != mask or vector is None:
        return None

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        chosen = (_widened(builder, vector, k, v) for k, v in zip((yes, no), arguments[1:], strict=True))
        return builder.select(arguments[0], *chosen)

    return vector(condition, yes, no), generate


where: Callable = intrinsic(_where)
"""`yes` in the lanes where the mask is set, `no` in the others."""


def _splat(typing_context: Any, a: types.Type) -> Any:
    vector = _VECTORS.get(a)
    if vector is None:
        return None

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        return _widened(builder, vector, a, arguments[0])

    return vector(a), generate


splat: Callable = intrinsic(_splat)
"""One number in all lanes."""


def _reduction(combine: Callable[[ir.IRBuilder, _Vector, ir.Value, ir.Value], ir.Value]) -> Callable:
    def typed(typing_context: Any, a: types.Type) -> Any:
        vector = _vector(a)
        if vector is None:
            return None

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            (value,), width = arguments, LANES
            while width > 1:  # the upper half onto the lower, until one lane is left
                width //= 2
                halves = (_lanes(*range(start, start + width)) for start in (0, width))
                value = combine(builder, vector, *(builder.shuffle_vector(value, value, half) for half in halves))
            return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

        return vector.number(a), generate

    return intrinsic(typed)


total: Callable = _reduction(lambda builder, vector, a, b: builder.fadd(a, b, flags=vector.flags))
"""The sum of the eight lanes."""


def _extreme_lane(sign: str) -> Callable:
    return _reduction(
        lambda builder, vector, a, b: builder.select(builder.fcmp_ordered(sign, a, b, flags=vector.flags), a, b)
    )


largest, smallest = _extreme_lane(">"), _extreme_lane("<")
"""The largest and the smallest of the eight lanes."""


def _function(name: str) -> Callable:
    """One of LLVM's own functions of each lane."""

    def typed(typing_context: Any, a: types.Type) -> Any:
        vector = _vector(a)
        if vector is None:
            return None

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            kind = ir.FunctionType(vector.ir, [vector.ir])
            full_name = f"llvm.{name}.v{LANES}f{8 * vector.size}"
            return builder.call(cgutils.get_or_insert_function(builder.module, kind, full_name), arguments)

        return vector(a), generate

    return intrinsic(typed)


square_root, floor, rounded = _function("sqrt"), _function("floor"), _function("rint")
"""The root of each lane, the largest whole number not above it, and the nearest."""


def _conversion(instruction: str, source: _Vector, target: _Vector) -> Callable:
    def typed(typing_context: Any, a: types.Type) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            return getattr(builder, instruction)(arguments[0], target.ir)

        return (target(a), generate) if a == source else None

    return intrinsic(typed)


as_doubles, as_floats = _conversion("fpext", floats, doubles), _conversion("fptrunc", doubles, floats)


def _mask_bits(typing_context: Any, a: types.Type) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        return builder.zext(builder.bitcast(arguments[0], ir.IntType(LANES)), ir.IntType(32))

    return (types.uint32(a), generate) if a == mask else None


mask_bits: Callable = intrinsic(_mask_bits)
"""A number whose bit i is set where lane i is."""


def _holds_floats(kind: types.Type) -> TypeGuard[types.Array]:
    return isinstance(kind, types.Array) and kind.dtype in _VECTORS and kind.layout == "C"


def _pointer(context: Any, builder: ir.IRBuilder, kind: types.Array, array: ir.Value, index: ir.Value) -> ir.Value:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index], inbounds=True), _VECTORS[kind.dtype].ir.as_pointer())


def _load(typing_context: Any, array: types.Type, index: types.Type) -> Any:
    if not (_holds_floats(array) and isinstance(index, types.Integer)):
        return None
    vector = _VECTORS[array.dtype]

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        return builder.load(_pointer(context, builder, array, *arguments[:2]), align=vector.size)

    return vector(array, index), generate


def _store(typing_context: Any, array: types.Type, index: types.Type, value: types.Type) -> Any:
    if not (_holds_floats(array) and isinstance(index, types.Integer)):
        return None
    vector = _VECTORS[array.dtype]
    if value != vector:
        return None

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        builder.store(arguments[2], _pointer(context, builder, array, *arguments[:2]), align=vector.size)
        return context.get_dummy_value()

    return types.void(array, index, value), generate


load: Callable = intrinsic(_load)
"""Eight numbers of a contiguous array, whatever its shape, from the index-th on; never checked."""

store: Callable = intrinsic(_store)
"""Write such eight."""


def _gather(typing_context: Any, array: types.Type, rows: types.Type, stride: types.Type, column: types.Type) -> Any:
    if not (_holds_floats(array) and isinstance(rows, types.Array) and rows.dtype == types.int64):
        return None
    vector = _VECTORS[array.dtype]

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        data = context.make_array(array)(context, builder, arguments[0]).data
        row_data = context.make_array(rows)(context, builder, arguments[1]).data
        value = ir.Constant(vector.ir, ir.Undefined)
        stride, column = (
            context.cast(builder, argument, kind, types.int64)
            for argument, kind in zip(arguments[2:], signature.args[2:], strict=True)
        )
        for lane in range(LANES):
            row = builder.load(builder.gep(row_data, [ir.Constant(ir.IntType(64), lane)], inbounds=True))
            place = builder.add(builder.mul(row, stride), column)
            number = builder.load(builder.gep(data, [place], inbounds=True))
            value = builder.insert_element(value, number, ir.Constant(ir.IntType(32), lane))
        return value

    return vector(array, rows, stride, column), generate


gather: Callable = intrinsic(_gather)
"""One column of eight rows of a contiguous array with rows of `stride` numbers; `rows` is an int64 array."""


def _halves(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, width: int) -> tuple[ir.Value, ir.Value]:
    """Of each block of twice `width` lanes the first half from `a` and then from `b`, and so on with the second."""
    first = [LANES + lane - width if lane & width else lane for lane in range(LANES)]
    second = [LANES + lane if lane & width else lane + width for lane in range(LANES)]
    return builder.shuffle_vector(a, b, _lanes(*first)), builder.shuffle_vector(a, b, _lanes(*second))


def _transposed(typing_context: Any, rows: types.Type) -> Any:
    if rows != types.UniTuple(floats, LANES):
        return None

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        values = [builder.extract_value(arguments[0], i) for i in range(LANES)]
        # Each step swaps the blocks off the diagonal, of 4 x 4, then 2 x 2, then 1 x 1 numbers.
        for width in (4, 2, 1):
            for i in (lane for lane in range(LANES) if not lane & width):
                values[i], values[i + width] = _halves(builder, values[i], values[i + width], width)
        return context.make_tuple(builder, signature.return_type, values)

    return rows(rows), generate


transposed: Callable = intrinsic(_transposed)
"""Of eight vectors of float32: the first lanes of all, the second lanes of all, and so on."""


def _totals(typing_context: Any, rows: types.Type) -> Any:
    if rows != types.UniTuple(floats, LANES):
        return None

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        values = [builder.extract_value(arguments[0], i) for i in range(LANES)]
        for width in (4, 2, 1):  # half as many vectors each time, with twice as many sums in each
            pairs = zip(values[:width], values[width:], strict=True)
            values = [builder.fadd(*_halves(builder, a, b, width), flags=floats.flags) for a, b in pairs]
        return values[0]

    return floats(rows), generate


totals: Callable = intrinsic(_totals)
"""The sums of eight vectors of float32, as one vector: half the work of eight times `total`."""


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
    return builder.bitcast(builder.add(builder.bitcast(a, _INTEGERS), shifted), floats.ir)


def _fraction(builder: ir.IRBuilder, a: ir.Value) -> ir.Value:
    return _with_exponent(builder, a, builder.neg(_exponent_bits(builder, a)))


exponent: Callable = _of_one(lambda builder, a: builder.sitofp(_exponent_bits(builder, a), floats.ir))
"""The whole number e of a = f 2^e with f between sqrt(1/2) and sqrt(2), for normal positive a."""

fraction: Callable = _of_one(_fraction)
"""The f of `exponent`."""

scaled: Callable = _binary(
    lambda builder, vector, a, n: _with_exponent(builder, a, builder.fptosi(n, _INTEGERS)), only=floats
)
"""a 2^n for float32 and whole numbers n; a and the result must be normal."""


def _store_thrice(typing_context: Any, array: types.Type, index: types.Type, value: types.Type) -> Any:
    if not (_holds_floats(array) and isinstance(index, types.Integer) and value == floats):
        return None

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        place = _pointer(context, builder, array, *arguments[:2])
        for part in range(3):
            lanes = _integers(*(i // 3 for i in range(part * LANES, (part + 1) * LANES)))
            spread = builder.shuffle_vector(arguments[2], arguments[2], lanes)
            builder.store(spread, builder.gep(place, [ir.Constant(ir.IntType(32), part)], inbounds=True), align=4)
        return context.get_dummy_value()

    return types.void(array, index, value), generate


store_thrice: Callable = intrinsic(_store_thrice)
"""Write each of the eight numbers three times, one beside the other: what holds for a pixel, for its three colours."""


def _prefetch(typing_context: Any, array: types.Type, index: types.Type) -> Any:
    if not (isinstance(array, types.Array) and isinstance(index, types.Integer)):
        return None

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        byte, whole = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, whole, whole, whole])
        data = context.make_array(array)(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(data, [arguments[1]], inbounds=True), byte)
        to_read, keep, of_data = (ir.Constant(whole, value) for value in (0, 3, 1))
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [place, to_read, keep, of_data])
        return context.get_dummy_value()

    return types.void(array, index), generate


prefetch: Callable = intrinsic(_prefetch)
"""Ask for what is at an index of a contiguous array, which will be loaded soon."""
