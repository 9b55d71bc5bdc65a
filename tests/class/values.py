"""Values of every kind as data: what each is, how Python writes it, and what becomes of it.

A line is ``group | expectation | expression``. ``exact``: equal, of the same type at every level. ``base``: equal, of the
built-in type that it is a subclass of. ``refused``: an error at the push.
"""

# ruff: noqa: E501  # a line of the table is as long as its expressions

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import math
import pathlib
import struct
import sys
import types
import uuid
import zoneinfo
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple


class Color(enum.Enum):
    """An enum that is no number and no text."""

    RED = 1


class Number(enum.IntEnum):
    """An enum that is a number."""

    ONE = 1


class Word(str, enum.Enum):
    """An enum that is a text."""

    ONE = "one"


class Pair(NamedTuple):
    """A named tuple."""

    one: Any
    two: Any


class Text(str):
    """A text of a class of its own."""


class Table(dict):  # type: ignore[type-arg]
    """A dict of a class of its own."""


class Noted(dict):  # type: ignore[type-arg]
    """A dict that gets an attribute."""


class Liar(str):
    """A text that is equal to nothing."""

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        """Say no."""
        return False


class Bomb:
    """A value whose methods raise."""

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        """Raise."""
        raise RuntimeError("no")


@dataclasses.dataclass
class Point:
    """A class that no setting allows."""

    x: Any


def noted() -> Noted:
    """Return a dict with an attribute."""
    value = Noted(a=1)
    value.note = "x"  # type: ignore[attr-defined]
    return value


def cycle() -> list[Any]:
    """Return a list that holds itself."""
    value: list[Any] = []
    value.append(value)
    return value


def nested(levels: int, kind: Any) -> Any:
    """Return containers in containers."""
    value = kind()
    for _ in range(levels):
        value = kind([value])
    return value


def bits(pattern: int) -> float:
    """Return the float with these 64 bits."""
    return float(struct.unpack(">d", pattern.to_bytes(8, "big"))[0])


# Each is tried alone, in a list, in a dict, in a tuple, and as a part of a tuple in a dict with keys that are no text.
NESTED = ("{}", "[1, {}]", "{{'b': {}, 'a': 1}}", "({}, 'x')", "{{1: [({},)]}}")
PLAIN = """
none        | exact   | None
bool        | exact   | True
int         | exact   | 0 ; -1 ; 2**53 + 1 ; 2**63 - 1 ; -(2**63) ; 2**63 ; 2**64 - 1 ; 2**64 ; -(2**63) - 1 ; 10**40 ; -(10**400)
float       | exact   | 0.1 ; -0.0 ; 1e15 ; 1e16 ; 1e300 ; 5e-324 ; 1.0 ; 1 / 3 ; 123456789012345680.0
float       | exact   | math.inf ; -math.inf ; math.nan
str         | exact   | '' ; 'ünï' ; 'a\\x00b' ; '\\ud800' ; '\\ud83d\\ude00' ; '\\U0001f600' ; '{}' ; 'null'
str         | exact   | 's3://c@b/d/r/t/00000000-0000-0000-0000-000000000000' ; 'x' * 5000
bytes       | exact   | b'' ; b'\\x00\\xff' ; bytearray(b'x')
tuple       | exact   | () ; (1, (2, [3]))
set         | exact   | set() ; {1, 'a', (2,)} ; frozenset({1, frozenset({2})})
dict        | exact   | {} ; {'b': 1, 'a': 2} ; {'aa': 1, 'b': 2} ; {1: 'a', '1': 'b'} ; {None: 1, True: 2, 1.5: 3, (1, 2): 4}
dict        | exact   | {dt.date(2026, 1, 1): 1} ; {b'a': 1} ; {'\\ud800': 1} ; {uuid.UUID(int=1): {2: 3}}
dict (tag)  | exact   | {'__type': 'set', '__var': [1]} ; {'__xcom_backend__': 1} ; ({'__type': 'set', '__var': [1]},)
dict (tag)  | exact   | {'__classname__': 'builtins.tuple', '__version__': 1, '__data__': [1]}
Decimal     | exact   | decimal.Decimal('1.10') ; decimal.Decimal('12345678901234567.89') ; decimal.Decimal('-0E+5')
Decimal     | exact   | decimal.Decimal('NaN') ; decimal.Decimal('-Infinity') ; decimal.Decimal('1E+1000')
Fraction    | exact   | fractions.Fraction(1, 3)
complex     | exact   | 1 + 2j ; complex(-0.0, -0.0)
range       | exact   | range(0, 10, 3)
UUID        | exact   | uuid.UUID(int=2**127)
path        | exact   | pathlib.PurePosixPath('/a/b')
datetime    | exact   | dt.datetime(2026, 1, 2, 3, 4, 5, 6) ; dt.datetime.min ; dt.datetime.max ; dt.datetime(2026, 10, 25, 2, 30, fold=1)
datetime    | exact   | dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc) ; dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(seconds=1), 'x'))
datetime    | exact   | dt.datetime(2026, 10, 25, 2, 30, tzinfo=zoneinfo.ZoneInfo('Europe/Zurich'), fold=1)
datetime    | exact   | dt.datetime(2026, 3, 29, 2, 30, tzinfo=zoneinfo.ZoneInfo('Europe/Zurich'))
date, time  | exact   | dt.date.min ; dt.time(1, 2, 3, 4, fold=1) ; dt.time(1, tzinfo=zoneinfo.ZoneInfo('UTC'))
timedelta   | exact   | dt.timedelta.min ; dt.timedelta.max ; dt.timedelta(microseconds=1)
time zone   | exact   | dt.timezone.utc ; zoneinfo.ZoneInfo('Asia/Tokyo')
pendulum    | exact   | pendulum.datetime(2026, 1, 1, tz='Europe/Paris') ; pendulum.date(2026, 1, 1)
collections | exact   | collections.OrderedDict(b=1, a=2) ; collections.Counter('abca') ; collections.defaultdict(list, a=[1])
collections | exact   | collections.deque([1, 2], 5)
NumPy scalar | exact  | np.float64(0.1) ; np.float32(0.1) ; np.int8(-1) ; np.uint64(2**63) ; np.bool_(True) ; np.complex128(1 + 2j)
NumPy scalar | exact  | np.datetime64('2026-01-01', 's') ; np.timedelta64(1, 'ns') ; np.str_('a') ; np.bytes_(b'a') ; np.longlong(1)
pandas scalar | exact | pd.Timestamp('2026-01-01', tz='Europe/Zurich') ; pd.Timestamp(1) ; pd.Timedelta(1) ; pd.NaT ; pd.NA
pandas scalar | exact | pd.Period('2026-01', 'M') ; pd.Interval(1, 2, 'left')
subclass    | base    | Number.ONE ; Word.ONE ; Pair(1, 2) ; Text('a') ; Table(a=1)
subclass    | refused | noted() ; Liar('a') ; time.gmtime(0)
class       | refused | Point(1) ; Bomb() ; Color.RED ; object() ; Color ; types.SimpleNamespace(a=1)
code        | refused | print ; (lambda: 1) ; (item for item in [1]) ; sys ; iter([]) ; open
other       | refused | memoryview(b'x') ; slice(1) ; ... ; re.compile('x') ; ValueError('x') ; collections.UserDict(a=1)
other       | refused | collections.defaultdict(lambda: 1) ; threading.Lock() ; io.BytesIO() ; {1}.__iter__()
other       | refused | cycle() ; nested(300, list) ; nested(150, tuple) ; np.ma.masked_array([1], [True]) ; np.array([object()])
"""
TABLES = """
array       | exact   | np.arange(6).reshape(2, 3) ; np.asfortranarray(np.arange(6.0).reshape(2, 3)) ; np.array(5) ; np.zeros((0, 3))
array       | exact   | np.array(['2026-01-01'], 'M8[s]') ; np.array([1], 'm8[us]') ; np.arange(3, dtype='>i4') ; np.array(['aé', ''])
array       | exact   | np.array([(1, 2.0)], [('a', 'i4'), ('ü', 'f8')]) ; np.array([1 + 2j], 'c8') ; np.arange(9)[::2] ; np.array([True])
array       | refused | np.array([{}], object) ; np.matrix([[1]]) ; np.rec.array([(1, 2)])
frame       | exact   | pd.DataFrame({'a': [1, 2], 'b': ['x', None], 'c': [1.5, math.nan]}) ; pd.DataFrame() ; pd.DataFrame(index=[1, 2])
frame       | exact   | pd.DataFrame({'o': [dt.datetime(2026, 1, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=-5))), None]}, dtype=object)
frame       | exact   | pd.DataFrame({'o': [1, 2**70, -(10**40)]}, dtype=object)
frame       | exact   | pd.DataFrame({'o': [9007199254740993, None]}, dtype=object) ; pd.DataFrame({'o': [{'a': 1, 2: (3,)}, [1], {4}]})
frame       | exact   | pd.DataFrame({'o': [decimal.Decimal('1.10'), uuid.UUID(int=1), pd.Timestamp(1), math.nan]}, dtype=object)
frame       | exact   | pd.DataFrame({'o': ['a', math.nan, None]}, dtype=object) ; pd.DataFrame({'o': [True, None, 1]}, dtype=object)
frame       | exact   | pd.DataFrame([[1, 2]], columns=[True, False]) ; pd.DataFrame([[1, 2]], columns=['a', 'a']) ; pd.DataFrame([[1]], columns=[3])
frame       | exact   | pd.DataFrame({'c': pd.Categorical([3, 1], [3, 2, 1], ordered=True)}) ; pd.DataFrame({'c': pd.Categorical(['x'], ['y', 'x'])})
frame       | exact   | pd.DataFrame({'c': pd.Categorical([1.5, None])}) ; pd.DataFrame({'c': pd.Categorical([dt.date(2026, 1, 1)])})
frame       | exact   | pd.DataFrame({'t': np.array(['2026-01-01'], 'M8[s]')}) ; pd.DataFrame({'t': np.array(['2026-01-01', 'NaT'], 'M8[ms]')})
frame       | exact   | pd.DataFrame({'t': pd.to_datetime(['2026-01-01', None]).tz_localize('Europe/Zurich')}) ; pd.DataFrame({'d': pd.to_timedelta(['1s', None])})
frame       | exact   | pd.DataFrame({'p': pd.period_range('2026-01', periods=2, freq='M')}) ; pd.DataFrame({'i': pd.interval_range(0, 2)})
frame       | exact   | pd.DataFrame({'i': pd.array([1, None], 'Int64'), 'b': pd.array([True, None], 'boolean'), 'f': pd.array([1.5, None], 'Float64')})
frame       | exact   | pd.DataFrame({'s': pd.array(['a', None], 'string')}) ; pd.DataFrame({'a': pd.array([1, None], 'int32[pyarrow]')})
frame       | exact   | pd.DataFrame({'i': np.array([1], 'int8'), 'f': np.array([1], 'float16'), 'u': np.array([2**63], 'uint64')})
frame       | exact   | pd.DataFrame({'a': [1]}, index=pd.date_range('2026', periods=1, freq='D')) ; pd.DataFrame({'a': [1, 2]}, index=pd.RangeIndex(5, 9, 2))
frame       | exact   | pd.DataFrame({'a': [1, 2]}, index=pd.MultiIndex.from_tuples([('x', 1), ('y', 2)], names=['p', None]))
frame       | exact   | pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([('x', 1), ('y', 'b')])) ; pd.DataFrame([[1, 2]], columns=pd.date_range('2026', periods=2))
frame       | exact   | pd.DataFrame({'a': [1]}, index=pd.Index([1], name=('n', 1))) ; pd.DataFrame({'a': [1]}, index=pd.Index([(1, 2)], tupleize_cols=False))
frame       | exact   | pd.DataFrame({'k': ['x', 'y'], 'v': [1, 2], 'd': [dt.date(2026, 1, 1)] * 2}).pivot(index='k', columns='d', values='v')
frame       | refused | pd.DataFrame({'s': pd.arrays.SparseArray([0, 1])}) ; pd.DataFrame({'o': [object()]}) ; pd.DataFrame({'o': [Point(1)]})
series      | exact   | pd.Series([1, 2], name='s') ; pd.Series(['a', None], dtype=object) ; pd.Series([dt.date(2026, 1, 1)], index=['x'], name=('a', 1))
index       | exact   | pd.Index([1, 2], name='i') ; pd.RangeIndex(3) ; pd.CategoricalIndex(['a', 'b']) ; pd.DatetimeIndex(['2026-01-01'])
arrow       | exact   | pa.table({'a': pa.array([1, None], pa.int8())}) ; pa.table({'a': pa.array([1], pa.timestamp('s'))})
arrow       | exact   | pa.table({'a': pa.array([1], pa.date64())}) ; pa.table({'a': pa.array([1], pa.time32('s'))})
arrow       | exact   | pa.table({'a': pa.array([3, 3]).dictionary_encode()}) ; pa.table({'a': pa.array([[1, 2], None], pa.list_(pa.int8(), 2))})
arrow       | exact   | pa.table({'a': [1]}).replace_schema_metadata({'k': 'v'}) ; pa.record_batch({'a': [1]}) ; pa.table({'a': [{'x': 1}, None]})
arrow       | exact   | pa.table({'a': pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(8.0).reshape(2, 2, 2))})
arrow       | refused | pa.array([1]) ; pa.scalar(1)
polars      | exact   | pl.DataFrame({'a': [1, None], 'c': pl.Series(['x', 'y'], dtype=pl.Categorical), 't': [dt.timedelta(1), None]})
polars      | refused | pl.Series([1])
"""


def names() -> dict[str, Any]:
    """Return what the expressions may use; a library that is not here is None."""
    found = dict(globals())
    for short, module in {
        "np": "numpy",
        "pd": "pandas",
        "pa": "pyarrow",
        "pl": "polars",
        "pendulum": "pendulum",
    }.items():
        try:
            found[short] = import_module(module)
        except ImportError:
            found[short] = None
    return found | {name: import_module(name) for name in ("io", "re", "time", "threading")}


def rows() -> Iterator[tuple[str, str, str]]:
    """Yield the group, the expectation and the expression of each value."""
    for text, templates in ((PLAIN, NESTED), (TABLES, ("{}", "{{'table': {}}}"))):
        for line in text.strip().splitlines():
            group, expected, expressions = (part.strip() for part in line.split("|", 2))
            for expression in expressions.split(" ; "):
                yield from ((group, expected, template.format(expression)) for template in templates)


def make(expression: str) -> Any:
    """Return a value."""
    return eval(expression, names())  # noqa: S307  # of this file


def unused() -> tuple[Any, ...]:
    """Name what only the expressions use."""
    return dt, decimal, fractions, math, pathlib, struct, sys, types, uuid, zoneinfo, collections
