"""Single words that are secret by their form: tokens with a vendor's prefix, and what only chance can have written.

The prefixes are those that vendors document and that secret scanners look for: the rules of gitleaks
(https://github.com/gitleaks/gitleaks), the detectors of detect-secrets (https://github.com/Yelp/detect-secrets) and of
TruffleHog (https://github.com/trufflesecurity/trufflehog).
"""

from __future__ import annotations

import re
from typing import Iterator

from gpuctl.host.record.quoting import Span
from gpuctl.regex import regex

_PREFIXES = (
    "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "glptt-", "gldt-", "glrt-", "glrtr-", "glcbt-",
    "glimt-", "glagent-", "gloas-", "glsoat-", "glffct-", "glft-", "GR1348941", "nvapi-", "dckr_pat_", "dckr_oat_",
    "hf_", "api_org_", "xoxa-", "xoxb-", "xoxc-", "xoxd-", "xoxe-", "xoxe.", "xoxo-", "xoxp-", "xoxr-", "xoxs-",
    "xapp-", "AKIA", "ASIA", "ABIA", "ACCA", "ABSK", "AIza", "GOCSPX-", "ya29.", "sk-", "sk_live_", "sk_test_",
    "rk_live_", "rk_test_", "pk_live_", "whsec_", "SG.", "npm_", "pypi-", "hvs.", "hvb.", "hvr.", "dop_v1_", "doo_v1_",
    "dor_v1_", "dp.pt.", "dp.st.", "dp.ct.", "dt0c01.", "dt0s01.", "glsa_", "glc_", "eyJ", "lin_api_", "NRAK-",
    "NRII-", "NRJS-", "NRAA-", "ntn_", "PMAK-", "pul-", "rubygems_", "rdme_", "r8_", "gsk_", "xkeysib-", "xsmtpsib-",
    "sntrys_", "sntryu_", "shpat_", "shpca_", "shppa_", "shpss_", "shippo_live_", "shippo_test_", "sgp_", "sq0atp-",
    "sq0csp-", "sbp_", "tskey-", "tfp_", "xai-", "pplx-", "pcsk_", "pscale_", "figd_", "FLWSECK", "fo1_", "fm1_",
    "fm1a_", "fm1r_", "fm2_", "fio-u-", "EZAK", "EZTK", "duffel_", "CLOJARS_", "ATBB", "ATATT3", "ATCTT3", "aio_",
    "AGE-SECRET-KEY-1", "LTAI", "AKCp", "cmVmdGtu", "ops_eyJ", "pnu_", "sm_aat_", "SWMTKN-", "sha256~", "BKUA_",
    "bkua_", "CCIPAT_", "csk-", "lsv2_", "tgp_v1_", "rpa_", "napi_", "rnd_", "nfp_", "wandb_v1_", "HRKU-", "tk-us-",
    "phc_", "phx_", "s-s4t2", "b3BlbnNzaC1rZXktdjE", "LS0tLS1CRUdJTi", "MIIEv", "MIIEp", "MIIEo", "MIIJ", "MHcCAQ",
    "b64:", "v2.local.", "v4.local.", "secret-token:", "tok-", "otpauth:", "nbp_", "sec_", "ak_live_", "el_live_",
)  # fmt: skip
_COMMON = (
    "dapi", "key-", "pubkey-", "1//0", "apikey-", "API-", "oy2", "A3-", "st.", "fw_", "v1.0-", "live_", "test_", "vcp_",
    "pat", "sat.", "secret_", "K10", "AQVN", "t1.", "y0_", "EAA", "tok_", "sl.", "cio", "api_", "key_", "token_",
    "org-", "s.", "b_", "sk_", "pk_", "ak-", "as-", "id-", "SK", "AC", "PK", "sub-c-", "pub-c-",
)  # fmt: skip
"""Prefixes that are words as well: what follows must look like chance."""
_RUN = regex(r"(?:(?<=\\)[nrt])?([A-Za-z0-9_.~+/-]{16,}={0,2})")
_PART = regex(r"[A-Za-z0-9_~-]{16,}")
_UUID = r"(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_LETTERS = regex(r"[A-Za-z0-9]{16,}")
_HEX = r"[0-9a-f]+|[0-9A-F]+"
_OURS = regex(r"[0-9]{6}Z-[0-9a-f]{12}")
"""The end of the mark in the names of what gpuctl keeps of a file (write/replace.py): a time and a digest."""
_TURNS, _DIGITS = regex(r"[A-Z]+|[a-z]+|[0-9]+"), regex(r"[0-9]+")


def tokens(text: str) -> Iterator[Span]:
    """Yields the places of the words, in order."""
    for run in _RUN.finditer(text):
        word = run.group(1)
        if word.startswith(_PREFIXES) or is_random(word):
            yield run.span(1)
            continue
        for piece in _PART.finditer(word):
            if _is_token(piece.group()):
                yield run.start(1) + piece.start(), run.start(1) + piece.end()


def _is_token(word: str) -> bool:
    if _OURS.fullmatch(word):
        return False
    return word.startswith(_PREFIXES) or is_random(word) or (word.startswith(_COMMON) and _is_mixed(word))


def is_random(word: str) -> bool:
    """Returns whether capitals, small letters and digits take turns in a word as no person has them do.

    UUIDs and digests, in hexadecimal digits, are names and not secrets.
    """
    if word.islower() or word.isupper():
        return any(_is_mixed(part) for part in _LETTERS.findall(word))
    turns, digits = len(_TURNS.findall(word)), len(_DIGITS.findall(word))
    return len(word) >= 20 and digits >= 2 and turns >= len(word) * 0.43 and not re.search(_UUID, word)


def _is_mixed(part: str) -> bool:
    """Of one case: letters and digits take turns, and it is no hexadecimal number."""
    return len(part) >= 20 and len(_DIGITS.findall(part)) >= 4 and not re.fullmatch(_HEX, part)
