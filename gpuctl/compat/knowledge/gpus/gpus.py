"""Which GPU is meant: what a person types, what the bus shows, what NVML reports."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from gpuctl.compat.knowledge.gpus.names import BRAND_BEFORE_460, LONGEST_NAME, Name, capability_named, one_of, read_name
from gpuctl.compat.knowledge.gpus.product_index import (
    devices_by_key,
    key_of,
    products_beginning,
    products_named,
    products_with,
    words_of,
)
from gpuctl.compat.tables.loader import Product, architecture_of, architectures, pci_device, pci_devices, products
from gpuctl.compat.versions import Version, parts
from gpuctl.frozen import dataclass
from gpuctl.regex import regex

_PCI_ID = regex(r"(?:10de:|0x)([0-9a-f]{4})")
_CHIP = regex(r"(?:G[ABFHKMPRV]|TU|AD)[0-9]{2,3}[A-Z]{0,3}|T239")
_CLASSES = {"geforce": "geforce", "titan": "titan", "nvs": "nvs", "quadro": "workstation", "tesla": "datacenter"}
_BRANDS_BY_CLASS = {"geforce": "geforce", "titan": "titan", "nvs": "nvs", "datacenter": "tesla"}
_CANDIDATES_SHOWN = 8
BRANDS = (
    "unknown",
    "quadro",
    "tesla",
    "nvs",
    "grid",
    "geforce",
    "titan",
    "vapps",
    "vpc",
    "vcs",
    "vws",
    "cloudgaming",
    "quadrortx",
    "nvidiartx",
    "nvidia",
    "geforcertx",
    "titanrtx",
    "nvidiadla",
    "vgamedev",
    "nvidianpu",
)
"""NVML's, as libnvidia-container and the images spell them: nvmlBrandType_t of https://github.com/NVIDIA/go-nvml"""
NEWEST_BEFORE_460 = "titan"
"""The last that NVML of older drivers has. Source: their nvml.h, where NVML_BRAND_COUNT follows it"""


@dataclass(frozen=True)
class Gpu:
    """A GPU as the rules see it.

    `compute_capability` is "" where it is not known; `brand` is NVML's, in lower case without blanks, None where no
    source tells it. `driven`: NVML of the driver in question reported this GPU, so that driver knows it. `one_of`: a
    name that means several, chips or products; which is in the machine is not known, and each stands there as a GPU.
    """

    name: str
    compute_capability: str
    architecture: str
    brand: str | None = None
    brand_before_460: str | None = None
    product_class: str | None = None
    open_module: str | None = None
    driven: bool = False
    one_of: str = ""

    def brand_on(self, driver: Version) -> str | None:
        """Returns the brand that NVML of this driver reports: a T4 was a Tesla before NVML knew the brand NVIDIA.

        None where no source tells it: an older NVML cannot have said what it did not know.
        """
        newer = self.brand not in BRANDS[: BRANDS.index(NEWEST_BEFORE_460) + 1]
        return self.brand_before_460 if driver < (460,) and (newer or self.brand_before_460) else self.brand


def find_gpu(text: str, hints: bool = True) -> Gpu:
    """Returns the GPU that a person names: product, chip, compute capability or PCI id ("10de:1db5").

    Raises ValueError for a name with several chips, and for an unknown one: with `hints`, which take their time, it
    names the nearest known ones.
    """
    typed = text.strip()
    if len(typed) > LONGEST_NAME:
        raise ValueError(f"no NVIDIA GPU has a name of more than {LONGEST_NAME} letters")
    typed = one_of(typed)
    return _by_number(typed) or _of_name(typed, hints)


def _by_number(typed: str) -> Gpu | None:
    """Returns the GPU of a compute capability, a PCI id or a chip; None for a name. Raises ValueError."""
    capability = capability_named(typed) or typed
    if re.fullmatch(r"[0-9]+\.[0-9]+", capability):
        return _of_capability(capability)
    pci = _PCI_ID.fullmatch(typed.lower())
    return _of_pci_id(pci[1]) if pci else _of_chip(typed.upper())


@lru_cache(maxsize=1024)
def gpu_described(name: str, capability: str) -> Gpu:
    """Returns the GPU that an inventory describes by name, by compute capability or by both; "" where it does not tell.

    Raises ValueError for a name that alone says nothing, and for what is no compute capability.
    """
    capability = capability_named(capability) or capability
    if capability and not re.fullmatch(r"[0-9]{1,3}\.[0-9]{1,3}", capability):
        raise ValueError(f"{capability!r} is not a compute capability such as 8.6")
    if name and capability:
        return _named(name, capability)
    return find_gpu(name or capability, hints=False) if name or capability else Gpu("the GPU", "", "unknown")


def parse_brand(text: str) -> str:
    """Returns a brand as NVML names it, in lower case without blanks. Raises ValueError for another."""
    brand = "".join(text.split()).lower()
    if brand not in BRANDS:
        raise ValueError(f"{text!r} is no brand of NVML's; they are {', '.join(BRANDS)}")
    return brand


def with_brand(gpus: Iterable[Gpu], brand: str | None) -> tuple[Gpu, ...]:
    """Returns the GPUs, each with the brand that a person says it has; None: nothing is said. Raises ValueError."""
    told = None if brand is None else parse_brand(brand)
    return tuple(replace(gpu, brand=told, brand_before_460=told) if told else gpu for gpu in gpus)


def gpu_of_every_kind() -> tuple[Gpu, ...]:
    """Returns a GPU of each compute capability, oldest first, without the integrated ones (they have other drivers)."""
    rows = (row for row in architectures().values() if not row.integrated)
    return tuple(_of_capability(row.compute_capability) for row in rows)


def gpu_of_device(device: str) -> Gpu | None:
    """Returns the GPU with a PCI device id such as "1db5"; None where the table has no such GPU."""
    row = pci_device(device)
    return _named(row.product, row.compute_capability or "", row.architecture) if row else None


@lru_cache(maxsize=64)  # most hosts have several of one kind, and several checks ask
def gpu_of_nvml(name: str, compute_capability: str | None, brand: str | None) -> Gpu:
    """Returns the GPU that this host's driver reports; what NVML did not tell is filled in where the name tells it."""
    boards = (product for board in read_name(name).boards for product in products_named(board))
    product = next(boards, None)
    only = product.variants[0][0] if product and len(product.variants) == 1 else ""
    gpu = _named(name, compute_capability or only)
    return Gpu(
        name,
        gpu.compute_capability,
        gpu.architecture,
        brand or gpu.brand,
        brand or gpu.brand_before_460,
        gpu.product_class,
        gpu.open_module,
        driven=True,
    )


def _named(name: str, capability: str, architecture: str | None = None) -> Gpu:
    said = read_name(name)
    board = next((one for one in said.boards if products_named(one)), "") or _begun(said, capability) or name
    gpu = _board(board, name, capability, architecture)
    return _virtual(gpu, name, said.brand) if said.brand else gpu


def _begun(said: Name, capability: str) -> str:
    """Returns the one product of that compute capability whose name begins as a cut one; "" for several."""
    found = products_beginning(said.boards[0]) if said.cut else []
    begun = [product.product for product in found if capability in dict(product.variants)]
    return begun[0] if len(begun) == 1 else ""


def _board(board: str, name: str, capability: str, architecture: str | None) -> Gpu:
    product = next(iter(products_named(board)), None)
    if product:
        return _of_product(product, name, capability)
    family = next((_CLASSES[word] for word in words_of(name) if word in _CLASSES), None)
    # Before Turing every product called Tesla has the brand Tesla as well.
    newer_tesla = family == "datacenter" and parts(capability or "99") >= (7, 5)
    brand = None if newer_tesla else _BRANDS_BY_CLASS.get(family or "")
    return Gpu(name, capability, architecture or _architecture(capability), brand, product_class=family)


def _of_product(product: Product, name: str, capability: str) -> Gpu:
    return Gpu(
        name,
        capability,
        _architecture(capability),
        product.brand,
        product.brand_before_460,
        product.product_class,
        product.open_module,
    )


def _architecture(capability: str) -> str:
    known = architectures().get(capability)
    return known.architecture if known else "unknown"


def _of_capability(capability: str) -> Gpu:
    if capability not in architectures():
        known = ", ".join(architectures())
        raise ValueError(f"no GPU of compute capability {capability} is known; known are {known}")
    return Gpu(f"compute capability {capability}", capability, _architecture(capability))


def _of_pci_id(device: str) -> Gpu:
    gpu = gpu_of_device(device)
    if gpu is None:
        raise ValueError(f"10de:{device} is not in the table of NVIDIA's GPUs from Fermi on")
    return gpu


def _of_chip(typed: str) -> Gpu | None:
    if not _CHIP.fullmatch(typed):
        return None
    row = architecture_of(typed)
    return Gpu(typed, row.compute_capability, row.architecture) if row else None


def _of_name(typed: str, hints: bool) -> Gpu:
    candidates = _meant(typed)
    if not candidates:
        raise ValueError(_not_found(typed, hints))
    if len({_kind(gpu) for gpu, _ in candidates}) > 1:
        raise ValueError(_ambiguous(typed, candidates))
    return candidates[0][0]


def gpus_named(text: str) -> tuple[Gpu, ...]:
    """Returns the GPUs that a name may mean where these are several: the chips of a product, or a few products.

    Each has the chip in its name, and the typed one in `one_of`. () for any other name. Raises ValueError for a compute
    capability or a PCI id that is not known.
    """
    name = text.strip()
    if _by_number(one_of(name)):
        return ()
    meant = _meant(name)
    is_product = len({gpu.name for gpu, _ in meant}) == 1
    with_chip = ((gpu, f"{name if is_product else gpu.name} ({'/'.join(chips)})") for gpu, chips in meant)
    # A chip has several PCI ids.
    found = tuple(dict.fromkeys(replace(gpu, name=called, one_of=name) for gpu, called in with_chip))
    is_told = is_product or len({_kind(gpu) for gpu in found}) > 1
    return found if is_told and 1 < len(found) <= _CANDIDATES_SHOWN else ()


def _kind(gpu: Gpu) -> tuple[str, str | None, str | None]:
    """What the rules see of a product."""
    return gpu.compute_capability, gpu.product_class, gpu.brand


def _meant(typed: str) -> list[tuple[Gpu, tuple[str, ...]]]:
    """Returns the GPUs, with their chips, that a name may mean."""
    said = read_name(typed)
    found = (
        (board, _candidates(board, said.cut and board == said.boards[0])) for board in said.boards if key_of(board)
    )
    candidates = next((candidates for _, candidates in found if candidates), [])
    if said.brand:
        return [(_virtual(gpu, typed, said.brand), chips) for gpu, chips in candidates]
    return [one for one in candidates if said.chip in one[1]] or candidates


def _candidates(board: str, cut: bool) -> list[tuple[Gpu, tuple[str, ...]]]:
    """Returns the GPUs, with their chips, that a name may mean; `cut`: the name is a beginning.

    One that a PCI device has is no part of a longer one of another kind: Quadro 5000 is no Quadro RTX 5000.
    """
    named = [] if cut else _of_products(products_named(board))
    if named:
        return named
    longer = _of_products(products_beginning(board) if cut else products_with(board))
    devices = _of_devices(board) if not (cut and longer) else []
    alike = {gpu.compute_capability for gpu, _ in longer} & {gpu.compute_capability for gpu, _ in devices}
    return longer if alike or not devices else devices


def _of_products(found: list[Product]) -> list[tuple[Gpu, tuple[str, ...]]]:
    return [
        (_of_product(product, product.product, capability), chips)
        for product in found
        for capability, chips in product.variants
    ]


def _of_devices(board: str) -> list[tuple[Gpu, tuple[str, ...]]]:
    return [
        (_named(row.product, row.compute_capability or "", row.architecture), (row.chip,))
        for row in devices_by_key().get(key_of(board), [])
    ]


def _virtual(gpu: Gpu, name: str, brand: str) -> Gpu:
    return replace(gpu, name=name, brand=brand, brand_before_460=BRAND_BEFORE_460)


def _ambiguous(typed: str, candidates: list[tuple[Gpu, tuple[str, ...]]]) -> str:
    shown = {f"{gpu.name} {'/'.join(chips)} ({gpu.compute_capability})": None for gpu, chips in candidates}
    more = f" and {len(shown) - _CANDIDATES_SHOWN} more" if len(shown) > _CANDIDATES_SHOWN else ""
    names = ", ".join(list(shown)[:_CANDIDATES_SHOWN])
    return f"{typed!r} may be {names}{more}: give the whole name, the chip, the compute capability or the PCI id"


def _not_found(typed: str, hints: bool) -> str:
    hint = _nearest(typed) if hints else ""
    return f"no NVIDIA GPU called {typed!r} is known{hint} (a chip, a compute capability or a PCI id will do as well)"


def _nearest(typed: str) -> str:
    from difflib import get_close_matches

    names = {name.lower(): name for name in [p.product for p in products()] + [row.product for row in pci_devices()]}
    near = [names[match] for match in get_close_matches(typed.lower(), names, n=3)]
    return f"; near it are {', '.join(near)}" if near else ""
