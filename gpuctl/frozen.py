"""Frozen dataclasses, made in a sixth of the time that the standard library takes for one before Python 3.13.

That compiles seven functions a class, one by one, and gpuctl has hundreds of classes: it took a run longer to make them
than to look at the host. Here none is compiled for one class alone. `fields`, `replace` and `asdict` know what is made
here. A field has a default or none; a class with factories or slots is the library's.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from operator import attrgetter
from types import FunctionType
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, NoReturn, Sequence, Type, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, frozen: bool) -> Callable[[Type[T]], Type[T]]:
        """Returns what makes a class a frozen dataclass, which `frozen` says to the reader."""
        return _made


_with_fields = dataclasses.dataclass(init=False, repr=False, eq=False)


def _made(cls: Type[T]) -> Type[T]:
    fields = dataclasses.fields(_with_fields(cls))  # type: ignore[arg-type]
    own = {"__init__": _init(cls, fields), "_values": attrgetter("__class__", *(one.name for one in fields))}
    for name, value in {**own, **_SHARED}.items():
        if name not in vars(cls):
            setattr(cls, name, value)
    return cls


def _init(cls: type, fields: Sequence[dataclasses.Field[Any]]) -> Callable[..., None]:
    """The function in which classes differ: that of all classes with so many fields, under this one's names."""
    names = [one.name for one in fields]
    template = _template(len(names), hasattr(cls, "__post_init__"))
    code = template.__code__
    own = dict(zip(code.co_varnames[1:], names))
    renamed = code.replace(co_varnames=("self", *names), co_consts=tuple(own.get(one, one) for one in code.co_consts))
    with_default = [one.default is not dataclasses.MISSING for one in fields]
    if with_default != sorted(with_default):
        raise TypeError("%s: a field with a default stands before one without" % cls.__name__)
    defaults = tuple(one.default for one in fields if one.default is not dataclasses.MISSING)
    return FunctionType(renamed, template.__globals__, "__init__", defaults)


@lru_cache(maxsize=None)
def _template(count: int, post: bool) -> FunctionType:
    """It is made of text, as only that says which arguments Python lets in; that is slow, and done once a count."""
    names = ["_%d" % place for place in range(count)]
    steps = ["_set(self, %r, %s)" % (name, name) for name in names] + ["self.__post_init__()"] * post
    made: Dict[str, Any] = {"_set": object.__setattr__}
    exec("def __init__(self, %s): %s" % (", ".join(names), "; ".join(steps or ["pass"])), made)  # noqa: S102  # our words
    template: FunctionType = made["__init__"]
    return template


def _repr(self: Any) -> str:
    shown = ("%s=%r" % (one.name, getattr(self, one.name)) for one in dataclasses.fields(self) if one.repr)
    return "%s(%s)" % (type(self).__qualname__, ", ".join(shown))


def _equal(self: Any, other: Any) -> bool:
    same: bool = self._values(self) == other._values(other) if type(self) is type(other) else NotImplemented
    return same


def _hash(self: Any) -> int:
    return hash(self._values(self))


def _refuse(self: Any, name: str, value: object = None) -> NoReturn:
    raise dataclasses.FrozenInstanceError("cannot change %s of %s" % (name, type(self).__name__))


_SHARED: Mapping[str, Any] = {
    "__repr__": _repr,
    "__eq__": _equal,
    "__hash__": _hash,
    "__setattr__": _refuse,
    "__delattr__": _refuse,
}
