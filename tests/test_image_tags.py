"""What an image's tag tells of the code in it: judged as the framework's build that it names, never better."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gpuctl.compat.answer.answer import brief, check
from gpuctl.compat.ask.asks import release_ask
from gpuctl.compat.ask.image_claims import Claims, claims_of_env, claims_of_tag, unlisted_release, with_build
from gpuctl.compat.ask.question import Machine, Question, with_image
from gpuctl.compat.judge.judge import verdict_of
from gpuctl.compat.judge.rulings import SEVERITY
from gpuctl.compat.knowledge.frameworks import FrameworkRelease, framework_releases
from gpuctl.compat.knowledge.gpus.gpus import find_gpu
from gpuctl.compat.knowledge.images import lacks_tag
from gpuctl.model import Verdict

GPUS = ("K80", "GTX 980", "P100", "GTX 1080", "V100", "T4", "A100", "RTX 3090", "L4", "H100", "B200", "RTX 5090")
DRIVERS = ("470.256.02", "535.183.01", "580.95.05")


def verdict(image: str, driver: str, name: str) -> Verdict:
    claims = claims_of_tag(image)
    assert claims is not None, image
    return brief(with_image(Question(), claims), Machine(driver, (find_gpu(name),)))[0]


@pytest.mark.parametrize(
    ("image", "name", "judged"),
    [
        ("pytorch/pytorch:2.8.0-cuda12.8-cudnn9-runtime", "GTX 1080", Verdict.INCOMPATIBLE),
        ("pytorch/pytorch:2.8.0-cuda12.6-cudnn9-runtime", "GTX 1080", Verdict.COMPATIBLE),
        ("pytorch/pytorch:2.7.1-cuda12.8-cudnn9-devel", "V100", Verdict.INCOMPATIBLE),
        ("pytorch/pytorch:2.8.0-cuda12.8-cudnn9-devel", "V100", Verdict.COMPATIBLE),
        ("pytorch/pytorch:2.6.0-cuda12.4-cudnn9-runtime", "RTX 5090", Verdict.INCOMPATIBLE),
        ("pytorch/pytorch:2.5.1-cuda12.4-cudnn9-runtime", "B200", Verdict.INCOMPATIBLE),
        ("pytorch/pytorch:2.0.1-cuda11.7-cudnn8-runtime", "H100", Verdict.INCOMPATIBLE),
        ("pytorch/pytorch:1.9.0-cuda10.2-cudnn7-runtime", "RTX 3090", Verdict.INCOMPATIBLE),
        ("pytorch/pytorch:1.10.0-cuda11.3-cudnn8-runtime", "RTX 3090", Verdict.COMPATIBLE),
        ("docker.io/pytorch/pytorch:2.0.1-cuda11.7-cudnn8-runtime@sha256:" + "0" * 64, "H100", Verdict.INCOMPATIBLE),
        ("registry.example:5000/hub/pytorch/pytorch:2.0.1-cuda11.7-cudnn8-runtime", "H100", Verdict.INCOMPATIBLE),
        ("mosaicml/pytorch:2.3.1_cu121-python3.11-ubuntu20.04", "RTX 5090", Verdict.INCOMPATIBLE),
        ("runpod/pytorch:2.1.0-py3.10-cuda11.8.0-devel-ubuntu22.04", "RTX 5090", Verdict.INCOMPATIBLE),
        ("runpod/pytorch:2.1.0-py3.10-cuda11.8.0-devel-ubuntu22.04", "A100", Verdict.COMPATIBLE),
        ("tensorflow/tensorflow:2.20.0-gpu", "RTX 5090", Verdict.INCOMPATIBLE),
        ("tensorflow/tensorflow:2.18.0-gpu-jupyter", "GTX 980", Verdict.INCOMPATIBLE),
        ("vllm/vllm-openai:v0.10.2-cu129", "P100", Verdict.INCOMPATIBLE),
        ("vllm/vllm-openai:v0.8.5-cu124", "RTX 5090", Verdict.INCOMPATIBLE),
        ("vllm/vllm-openai:v0.21.0-cu129", "V100", Verdict.INCOMPATIBLE),
        ("vllm/vllm-openai:v0.10.2-cu129", "A100", Verdict.COMPATIBLE),
        ("vllm/vllm-openai:cu129-nightly", "A100", Verdict.LIMITED),
        ("lmsysorg/sglang:v0.5.3-cu129", "V100", Verdict.INCOMPATIBLE),
        ("lmsysorg/sglang:dev-cu129", "A100", Verdict.LIMITED),
        ("rapidsai/base:24.04-cuda12.2-py3.11", "P100", Verdict.INCOMPATIBLE),
        ("rapidsai/base:23.10-cuda12.0-py3.10", "P100", Verdict.LIMITED),
        ("nvcr.io/nvidia/rapidsai/notebooks:25.08-cuda12.9-py3.13", "GTX 1080", Verdict.INCOMPATIBLE),
        ("nvcr.io/nvidia/pytorch:22.12-py3", "GTX 980", Verdict.INCOMPATIBLE),
        ("nvcr.io/nvidia/pytorch:22.12-py3", "GTX 1080", Verdict.COMPATIBLE),
        ("nvcr.io/nvidia/pytorch:25.01-py3", "V100", Verdict.INCOMPATIBLE),
        ("nvcr.io/nvidia/tritonserver:25.06-py3", "V100", Verdict.INCOMPATIBLE),
        ("nvcr.io/nvidia/pytorch:25.04-py3", "T4", Verdict.COMPATIBLE),
        ("nvcr.io/nvidia/pytorch:24.05-py3", "A100", Verdict.COMPATIBLE),
        ("nvcr.io/nvidia/pytorch:24.05-py3", "GTX 980", Verdict.INCOMPATIBLE),
        ("nvcr.io/nvidia/pytorch:24.09-py3", "A100", Verdict.LIMITED),
        ("nvcr.io/nvidia/tensorrt:22.12-py3", "GTX 980", Verdict.LIMITED),
        ("nvcr.io/nvidia/cuda-dl-base:25.01-cuda12.8-devel-ubuntu24.04", "GTX 980", Verdict.COMPATIBLE),
        ("team/pytorch-service:1.4-cuda12.4", "A100", Verdict.LIMITED),
        ("team/service:1.4-cuda12.4", "A100", Verdict.COMPATIBLE),
    ],
)
def test_an_image_is_judged_by_the_code_of_what_its_tag_names(image: str, name: str, judged: Verdict) -> None:
    assert verdict(image, "580.95.05", name) is judged


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (
            "tensorflow/tensorflow:2.17.9-gpu",
            "the known ones next to it are 2.17.1 and 2.18.0",
        ),
        ("tensorflow/tensorflow:2.9.4-gpu-jupyter", "2.9.3 and 2.10.0"),
        ("nvcr.io/nvidia/tensorflow:25.05-tf2-py3", "TensorFlow end with 25.02"),
        ("nvcr.io/nvidia/mxnet:25.01-py3", "MXNet end with 24.06"),
        ("nvcr.io/nvidia/pytorch:24.05-py2", "Python 2 end with 19.10"),
        ("nvcr.io/nvidia/pytorch:20.04-py3", "20.03 and 20.06"),
        ("tensorflow/tensorflow:2.17.9.post1-gpu", "2.17.1 and 2.18.0"),
        ("tensorflow/tensorflow:999999999.1.1-gpu", "the newest known is 2."),
    ],
)
def test_an_image_of_a_release_that_nobody_knows_is_unknown_and_told_which_there_are(image: str, said: str) -> None:
    for gpu in ("A100", "K80"):
        question = with_image(
            Question(), claims_of_tag(image) or Claims(image, "this host's Docker", unread="Not here.")
        )
        answer = check(question, Machine("580.95.05", (find_gpu(gpu),)))
        assert answer.verdict is Verdict.UNKNOWN
        assert said in next(one.message for one in answer.reasons if one.id == "image.release-not-known")


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("nvidia/cuda", "nvidia/cuda has no tag latest, which NVIDIA removed: its tags name CUDA, "),
        ("nvcr.io/nvidia/cuda:latest", "nvidia/cuda has no tag latest, which NVIDIA removed: "),
        ("docker.io/nvidia/cuda:devel", "nvidia/cuda has no tag devel: its tags name CUDA, "),
        ("nvidia/cuda:12.4.1", "nvidia/cuda has no tag 12.4.1 alone: "),
    ],
)
def test_what_nvidia_never_listed_is_told_from_what_it_removed(reference: str, said: str) -> None:
    lacks = lacks_tag(reference)
    assert lacks and lacks.startswith(said) and "-base-ubuntu" in lacks


def test_a_tag_with_a_number_that_no_release_has_tells_nothing() -> None:
    for image in ("tensorflow/tensorflow:9999999999999999999.1-gpu", "vllm/vllm-openai:v1.99999999999999999999"):
        assert claims_of_tag(image) is None and unlisted_release(image) is None


def images_of(release: FrameworkRelease, cuda: str) -> Iterator[str]:
    """Every tag by which the images of a release's build go."""
    if release.framework == "pytorch":
        yield f"pytorch/pytorch:{release.version}-cuda{cuda}-cudnn8-runtime"
        yield f"anibali/pytorch:{release.version}-cuda{cuda}-ubuntu22.04"
        yield f"mirror.example/pytorch/pytorch:{release.version}-cuda{cuda}-cudnn9-devel"
        yield f"ecr.example/pytorch-training:{release.version}-gpu-py311-cu{cuda.replace('.', '')}-ubuntu20.04"
    if release.framework in ("tensorflow", "tensorflow-gpu") and cuda == release.cudas[-1]:
        yield f"tensorflow/tensorflow:{release.version}-gpu"
    if release.framework == "ngc":
        yield f"nvcr.io/nvidia/pytorch:{release.version}-py3"


BUILDS = [
    (release, cuda)
    for release in framework_releases()
    for cuda in release.cudas
    if next(images_of(release, cuda), None)
]


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_image_tag_is_never_better_judged_than_the_framework_build_that_it_names(driver: str) -> None:
    assert len(BUILDS) > 150
    for release, cuda in BUILDS:
        # The image carries a package besides that the build alone does not bring.
        build = replace(release_ask(release, cuda), has_compat=release.framework == "ngc")
        for image in images_of(release, cuda):
            for name in GPUS:
                least, said = verdict_of(build, driver, (find_gpu(name),)), verdict(image, driver, name)
                assert SEVERITY.index(said) >= SEVERITY.index(least), (image, name, driver, said, least)


def test_what_an_image_says_in_its_environment_leaves_the_code_that_its_tag_names_to_judge() -> None:
    image = "pytorch/pytorch:2.8.0-cuda12.8-cudnn9-runtime"
    for env in ({"PYTORCH_VERSION": "2.8.0"}, {"CUDA_VERSION": "12.8.1"}):
        question = with_image(Question(), with_build(claims_of_env(image, "its registry", env)))
        assert brief(question, Machine("580.95.05", (find_gpu("GTX 1080"),)))[0] is Verdict.INCOMPATIBLE
        assert brief(question, Machine("580.95.05", (find_gpu("A100"),)))[0] is Verdict.COMPATIBLE


@pytest.mark.parametrize(
    ("image", "gpu", "driver", "cuda"),
    [
        ("pytorch:19.12-py3", "V100", "440.33.01", "10.2"),
        ("pytorch:20.12-py3", "A100", "455.45.01", "11.1"),
        ("pytorch:21.07-py3", "A100", "470.57.02", "11.4"),
        ("pytorch:22.12-py3", "A100", "520.61.05", "11.8"),
        ("pytorch:23.12-py3", "A100", "545.23.08", "12.3"),
        ("tritonserver:22.12-py3", "A100", "520.61.05", "11.8"),
        ("tritonserver:23.10-py3", "A100", "535.129.03", "12.2"),
        ("cuda-dl-base:23.12-py3", "A100", "545.23.08", "12.3"),
        ("tensorflow:23.03-tf2-py3", "A100", "530.30.02", "12.1"),
    ],
)
def test_a_months_image_of_nvidias_catalogue_runs_on_the_driver_that_its_cuda_came_with(
    image: str, gpu: str, driver: str, cuda: str
) -> None:
    claims = claims_of_tag(f"nvcr.io/nvidia/{image}")
    assert claims and (claims.cuda or "").startswith(cuda)
    assert verdict(f"nvcr.io/nvidia/{image}", driver, gpu) is Verdict.COMPATIBLE
