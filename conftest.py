"""What every test file shares."""

# Both are loaded when they are first used. A run of pytester forgets the modules that it loaded,
# and what was loaded earlier would then not recognize the exceptions of the second copy.
import cattrs  # noqa: F401
import httpcore  # noqa: F401

pytest_plugins = ["pytester"]
