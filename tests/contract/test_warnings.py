"""Which warnings fail a test: all that our code raises or causes, but no deprecation in other people's code."""

import warnings
from pathlib import Path

import numpy as np
import pytest

DEPRECATIONS = [DeprecationWarning, PendingDeprecationWarning, FutureWarning]
HELPERS = sorted(path.stem for path in Path(__file__).parents[1].glob("*.py"))
OURS = ["bytemill", "bytemill.model.gpt2", *HELPERS]
THEIRS = ["transformers.utils", "torch.nn.modules.module", "bytemillions", "testscenarios"]


def warn(category: type[Warning], module: str) -> list[str]:
    """Warn as that module would; give back what would be reported."""
    with warnings.catch_warnings(record=True) as reported:
        warnings.warn_explicit("old", category, f"{module}.py", 1, module=module)
    return [str(one.message) for one in reported]


@pytest.mark.parametrize("category", DEPRECATIONS)
class TestDeprecation:
    @pytest.mark.parametrize("module", OURS)
    def test_in_our_code_is_an_error(self, category: type[Warning], module: str) -> None:
        with pytest.raises(category, match="old"):
            warn(category, module)

    @pytest.mark.parametrize("module", THEIRS)
    def test_in_other_peoples_code_is_reported(self, category: type[Warning], module: str) -> None:
        assert warn(category, module) == ["old"]

    def test_that_a_call_from_this_file_causes_is_an_error(self, category: type[Warning]) -> None:
        def deprecated() -> None:
            warnings.warn("old", category, stacklevel=2)

        with pytest.raises(category, match="old"):
            deprecated()


@pytest.mark.parametrize("category", [UserWarning, RuntimeWarning, ResourceWarning, SyntaxWarning])
@pytest.mark.parametrize("module", ["bytemill.model.gpt2", "torch.nn.modules.module"])
def test_any_other_warning_is_an_error_wherever_it_arises(category: type[Warning], module: str) -> None:
    with pytest.raises(category, match="old"):
        warn(category, module)


def test_an_overflow_that_numpy_meets_is_an_error() -> None:
    with pytest.raises(RuntimeWarning, match="overflow"):
        np.float32(3e38) * np.float32(10)
