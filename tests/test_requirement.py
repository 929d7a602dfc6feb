"""The language of NVIDIA_REQUIRE_*: libnvidia-container's, against a second evaluator, and the toolkit's Go one."""

from __future__ import annotations

import pytest
import requirement_by_the_text as by_the_text
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.compat.ask.image_claims import image_requirements
from gpuctl.compat.judge.gate import expression_go as requirement_go
from gpuctl.compat.judge.gate.expression import Subject, evaluate

pytestmark = pytest.mark.slow

thorough = settings(max_examples=1000, deadline=None)

V100 = Subject("10.1", "418.87.00", "7.0", "tesla")
T4 = Subject("12.1", "530.30.02", "7.5", "nvidia")
GEFORCE = Subject("12.8", "570.26", "8.6", "geforce")

numbers = st.sampled_from(
    ["0", "00", "1", "7", "8", "9", "10", "12", "012", "87", "384", "418", "535", "18446744073709551615"]
)
versions = st.lists(numbers, min_size=1, max_size=4).map(".".join) | st.text(".0123x", min_size=0, max_size=6)
names = st.sampled_from(["cuda", "CUDA", "driver", "Driver", "arch", "brand", "BRAND", "os", "", "cuda "])
operators = st.text("=!<>", min_size=0, max_size=3)
values = versions | st.sampled_from(["tesla", "TESLA", "geforce", "nvidia", "te=sla", "1" * 130, "x" * 130])
factors = st.builds("{}{}{}".format, names, operators, values)
expressions = st.lists(factors | st.sampled_from([",", ",,"]), max_size=5).flatmap(
    lambda pieces: st.lists(st.sampled_from([",", " ", "  "]), min_size=len(pieces), max_size=len(pieces)).map(
        lambda glue: "".join(a + b for pair in zip(pieces, glue, strict=True) for a, b in [pair])
    )
)
facts = st.fixed_dictionaries(
    {
        "cuda": st.none() | st.sampled_from(["10.1", "12.2", "12.8"]),
        "driver": st.none() | st.sampled_from(["384.130", "418.87.00", "535.104.05"]),
        "arch": st.none() | st.sampled_from(["7.0", "8.6"]),
        "brand": st.none() | st.sampled_from(["tesla", "geforce", "nvidia"]),
    }
)


@thorough
@given(expressions | st.text("cudabrndivertsl=!<>.,0123456789 ", max_size=40), facts)
def test_both_evaluators_agree_on_every_expression(expression: str, told: dict[str, str | None]) -> None:
    said = evaluate(expression, Subject(**told))
    assert (None if said.error else said.holds) == by_the_text.verdict(expression, told)


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("", True),
        ("  ", True),
        (",", True),
        ("cuda>=10.1", True),
        ("cuda>=10.2", False),
        ("cuda>=10.2 brand=tesla,driver>=418,driver<419", True),
        ("cuda>=10.2 brand=geforce,driver>=418,driver<419", False),
        ("cuda>=10.1.0.0", True),
        ("cuda>=10..1.", True),
        ("cuda=10.01", True),
        ("driver=418.87", True),
        ("driver>384.90", True),
        ("CUDA>=10,BRAND=Tesla", True),
        ("cuda!10.1", False),
        ("arch>=3.5", True),
        ("cuda>=99 ,", False),
    ],
)
def test_an_expression_holds_on_a_v100_or_does_not(expression: str, holds: bool) -> None:
    said = evaluate(expression, V100)
    assert (said.holds, said.error) == (holds, None)


@pytest.mark.parametrize(
    "broken",
    [
        *("cuda==10", "cuda=>10", "cuda<>10", "cuda=!10", "cuda>=", "cuda", ">=10", "os>=1", "cuda>=.5", "cuda>=10_0"),
        *("cuda>=v10", "brand>tesla", "cuda>=10\t", "cuda>=1,brand", "arch>=" + "9" * 30, "driver>=" + "1" * 125 + "x"),
    ],
)
def test_what_is_malformed_is_an_error_and_names_itself(broken: str) -> None:
    said = evaluate(broken, V100)
    assert not said.holds
    assert said.error is not None
    assert broken.rpartition(",")[2][:20] in said.error.replace("\\t", "\t")
    assert len(said.error) < 250


def test_what_comes_after_the_first_true_alternative_or_the_first_false_factor_is_never_noticed() -> None:
    assert evaluate("cuda>=10 cuda==11", V100).holds
    assert evaluate("cuda>=11,garbage cuda>=10", V100).holds
    assert evaluate("cuda==11 cuda>=10", V100).error


def test_a_fact_that_the_host_cannot_tell_counts_as_satisfied() -> None:
    assert evaluate("cuda>=99,driver>=999,arch>=99,brand=none", Subject()).holds
    assert evaluate("cuda>=.5", Subject()).holds
    assert evaluate("brand>none", Subject()).holds
    assert evaluate("cuda==9", Subject()).error


def test_each_alternative_tells_which_of_its_factors_is_false() -> None:
    said = evaluate("cuda>=12.9 brand=tesla,driver>=535 brand=tesla,driver>=550 brand=geforce,driver<570", GEFORCE)
    assert said.failed == ("cuda>=12.9", "brand=tesla", "driver<570")


def test_a_false_factor_that_is_too_long_to_be_told_is_an_error_and_a_true_one_is_not() -> None:
    long = "10." + "0" * 140
    assert evaluate(f"cuda>={long}", V100).holds
    assert evaluate(f"cuda<{long}", V100).error


def test_tesla_in_the_name_is_not_the_brand_tesla() -> None:
    assert not evaluate("brand=tesla,driver>=418", T4).holds


@pytest.mark.parametrize("row", image_requirements(), ids=lambda row: f"{row.cuda}-{row.architectures[0]}-{row.os[0]}")
def test_the_requirement_of_every_known_image_is_well_formed_for_both_evaluators(row: object) -> None:
    expression = row.expression  # type: ignore[attr-defined]
    nowhere = Subject("0.1", "1.0", "0.1", "none")
    for said in (evaluate(expression, nowhere), requirement_go.evaluate(expression, nowhere)):
        assert said.error is None


@pytest.mark.parametrize("piece", ["cuda>=99 ", "cuda>=10,", ", ", "=", "cuda>=" + "9" * 50, "brand=x,"])
def test_an_expression_of_a_megabyte_ends(piece: str) -> None:
    hostile = piece * (1_000_000 // len(piece))
    for said in (evaluate(hostile, V100), requirement_go.evaluate(hostile, V100)):
        assert len(said.failed) <= 1
        assert said.error is None or len(said.error) < 250


# The toolkit's Go evaluator


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("CUDA>=99", True),  # names are case-sensitive, and an unknown one is skipped
        ("CUDA>=99 cuda>=99", False),
        ("brand=Tesla", False),
        ("brand=tesla", True),
        ("brand<zzz", True),  # a plain string
        ("os>=1", True),
        ("cuda>=10", True),
        ("cuda>=10.1.0-rc1", True),
        ("driver>=418.87.0", True),
        ("cuda>=v10.1", True),
        ("", True),
    ],
)
def test_the_go_evaluator_differs(expression: str, holds: bool) -> None:
    said = requirement_go.evaluate(expression, V100)
    assert (said.holds, said.error) == (holds, None)


@pytest.mark.parametrize(
    "broken", ["cuda>=10 garbage", "cuda>=10 cuda>=11.", "cuda==10", "driver>=418.87.00", "cuda>=10.1.2.3"]
)
def test_the_go_evaluator_parses_everything_first(broken: str) -> None:
    assert requirement_go.evaluate(broken, V100).error


@thorough
@given(expressions, facts)
def test_the_go_evaluator_answers_every_expression(expression: str, told: dict[str, str | None]) -> None:
    said = requirement_go.evaluate(expression, Subject(**told))
    assert not (said.error and said.holds)
