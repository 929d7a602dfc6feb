"""The tables' products by name, however it is spelt."""

from __future__ import annotations

import re
from functools import cache, lru_cache

from gpuctl.compat.tables.loader import PciDevice, Product, pci_devices, products
from gpuctl.regex import regex

# Words around a product's name that change neither its chip nor its brand.
_VENDOR = {"nvidia", "tesla", "geforce"}
_FORM = regex(
    r"[0-9]+gb?|sxm[0-9]*|pcie|nvl[0-9]*|hbm[0-9]+e?|dgxs|fhhl|laptop|mobile|notebook|gpu|max|q|with|design|mig|generation"
)

_NUMBER = regex("[0-9]+")


def words_of(name: str) -> list[str]:
    """Returns a name's words and numbers in lower case."""
    return re.findall(r"[a-z0-9]+", name.lower())


def _key_words(name: str) -> list[str]:
    return [word for word in words_of(name) if word not in _VENDOR and not _FORM.fullmatch(word)]


@lru_cache(maxsize=4096)
def key_of(name: str) -> str:
    """Returns what two spellings of one product share: "v100" of Tesla V100-SXM2-32GB, "rtx3090" of RTX 3090."""
    return "".join(_key_words(name))


@cache
def _products_by_key() -> dict[str, list[Product]]:
    index: dict[str, list[Product]] = {}
    for product in products():
        for name in (product.product, *product.aliases):
            index.setdefault(key_of(name), []).append(product)
    return index


@cache
def devices_by_key() -> dict[str, list[PciDevice]]:
    """Returns the PCI devices by `key_of` each of their names."""
    index: dict[str, list[PciDevice]] = {}
    for row in pci_devices():
        for name in _spelt_out(row.product):
            index.setdefault(key_of(name), []).append(row)
    return index


def _spelt_out(names: str) -> tuple[str, ...]:
    """Returns the names of a row that has several: RTX 2000E Ada Generation too of RTX 2000 / 2000E Ada Generation."""
    first, slash, rest = names.partition(" / ")
    if not slash:
        return (names,)
    number, *behind = rest.split(" ")
    shared = [" ".join((*first.split(" ")[:-1], number, *behind))] if number[:1].isdigit() else []
    return (names, *names.split(" / "), *shared)


def products_named(name: str) -> list[Product]:
    """Returns the products of that name, one that is spelt the same first.

    Parses only the lines with its first number: a host has few products, and the table hundreds.
    """
    key, spelt = key_of(name), [word for word in words_of(name) if word != "nvidia"]
    number = _NUMBER.search(key)
    likely = products(number[0] if number else "")
    named = [one for one in likely if key in map(key_of, (one.product, *one.aliases))]
    return sorted(named, key=lambda product: words_of(product.product) != spelt)


def products_beginning(name: str) -> list[Product]:
    """Returns the products whose names begin so."""
    beginning = key_of(name)
    begun = [product for key, row in _products_by_key().items() if key.startswith(beginning) for product in row]
    return sorted(dict.fromkeys(begun), key=lambda product: len(product.product))


def products_with(name: str) -> list[Product]:
    """Returns the products whose names hold every word of the name, the shortest first."""
    typed = set(_key_words(name))
    found = [product for product in products() if typed and typed <= set(words_of(product.product))]
    return sorted(found, key=lambda product: len(words_of(product.product)))
