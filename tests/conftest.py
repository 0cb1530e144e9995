"""Where the fixtures come from."""

import pytest

pytest.register_assert_rewrite("plugins")
pytest_plugins = ["plugins.fixtures"]
