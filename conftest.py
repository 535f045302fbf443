"""What every test file shares."""

# httpx loads it when it is first used. Within a run of pytester's, which forgets the modules that
# it loaded, that would leave httpx with exceptions that nobody raises any more.
import httpcore  # noqa: F401

pytest_plugins = ["pytester"]
