"""Frozen dataclasses, made in a thirtieth of the time that the standard library takes for one before Python 3.13.

That compiles seven functions a class, one by one, and gpuctl has hundreds of classes: it took a run longer to make them
than to look at the host. Here none is compiled for one class alone. `fields`, `replace` and `asdict` know what is made
here. A field has a default or none; a class with `field`s, class variables or slots is the library's.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from operator import attrgetter
from types import FunctionType
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Mapping, NoReturn, Tuple, Type, TypeVar

T = TypeVar("T")
_REQUIRED = object()
"""In place of the default of a field that has none."""

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, frozen: bool) -> Callable[[Type[T]], Type[T]]:
        """Returns what makes a class a frozen dataclass, which `frozen` says to the reader."""
        return _made


def _made(cls: Type[T]) -> Type[T]:
    names = tuple(dict.fromkeys(name for base in reversed(cls.__mro__) for name in _annotated(base)))
    own = {"__init__": _init(cls, names), "_values": attrgetter("__class__", *names), "__match_args__": names}
    for name, value in {**own, **_SHARED}.items():
        if name not in vars(cls):
            setattr(cls, name, value)
    setattr(cls, _Fields.name, _Fields(cls))
    return cls


def _annotated(cls: type) -> Iterable[str]:
    return getattr(cls, "__annotations__", ())


class _Fields:
    """Stands where the library keeps a class's fields, and has it make them when somebody asks, as of few is asked."""

    name = "__dataclass_fields__"

    def __init__(self, cls: type) -> None:
        self._cls = cls

    def __get__(self, _: object, asked: type) -> Any:
        return getattr(dataclasses.dataclass(init=False, repr=False, eq=False)(self._cls), self.name)


def _init(cls: type, names: Tuple[str, ...]) -> Callable[..., None]:
    """The function in which classes differ: that of all classes with so many fields, under this one's names."""
    template = _template(len(names), hasattr(cls, "__post_init__"))
    code, consts = template.__code__, template.__code__.co_consts
    own = dict(zip(code.co_varnames[1:], names))
    code = code.replace(co_varnames=("self", *names), co_consts=tuple(map(own.get, consts, consts)))
    found = [getattr(cls, name, _REQUIRED) for name in names]
    defaults = found[found.count(_REQUIRED) :]
    if _REQUIRED in defaults:
        raise TypeError("%s: a field with a default stands before one without" % cls.__name__)
    if any(isinstance(one, dataclasses.Field) for one in defaults):
        raise TypeError("%s: a class with `field`s is the library's" % cls.__name__)
    return FunctionType(code, template.__globals__, "__init__", tuple(defaults))


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
    shown = ("%s=%r" % (name, getattr(self, name)) for name in self.__match_args__)
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
